//! Runs a program over a client and a sandbox, and notes the result of every call.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ClerkError, ClerkErrors, Client,
    ClientBuilder, CreateActorToken, Error, RetryConfig, Ticket,
    client::SettleEvent,
    sandbox::{Fault, Ledger, Sandbox},
};
use clerk_actor_tokens_policy::{
    AttributionLayer, CallId,
    audit::{AuditBarrierLayer, AuditLayer, End, Entry, Event},
};
use http::{StatusCode, request::Parts};
use proptest::sample::Index;
use tower::{layer::layer_fn, util::Either};

use crate::{
    layers::{Above, Below},
    program::{Call, Program, Step},
    repeatable::repeatable,
    support::scripted_sink::{Mode, ScriptedSink},
};

/// Longer than everything takes; the clock is paused.
const AMPLE: Duration = Duration::from_secs(3600);

/// The number of a call, in the extensions of its request.
#[derive(Clone, Copy)]
pub(crate) struct Number(pub(crate) usize);

/// A fault that the model must find.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Planted {
    #[default]
    Nothing,
    NoBarrier,
    SinkLosesEnds,
    NoHook,
}

pub(crate) struct World {
    sandbox: Sandbox,
    sink: ScriptedSink,
    audit: AuditLayer<ScriptedSink>,
    client: Client,
    calls: Arc<Mutex<Vec<Call>>>,
    /// The result of each call for its caller.
    pub(crate) results: Vec<Outcome>,
    /// The audit's id of each call, as the layers saw it.
    pub(crate) ids: Arc<Mutex<HashMap<usize, CallId>>>,
    flights: Vec<Flight>,
    tokens: Vec<(usize, ActorToken)>,
    claimed: Vec<ActorTokenId>,
    pub(crate) settled: Arc<Mutex<Vec<(usize, SettleEvent)>>>,
}

/// A call as its caller knows it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The token to revoke; `None` for a create.
    pub(crate) revokes: Option<ActorTokenId>,
    pub(crate) result: CallResult,
    pub(crate) has_claimed: bool,
}

#[derive(Debug)]
pub(crate) enum CallResult {
    InFlight,
    /// The token, and whether the end was in the audit when the caller got it.
    Returned(ActorTokenId, bool),
    Failed(Error),
    Cancelled,
    Panicked,
}

struct Flight {
    call: usize,
    future: Pin<Box<dyn Future<Output = Result<ActorToken, Error>>>>,
}

/// The records of a run.
pub(crate) struct Remains {
    pub(crate) ledger: Ledger,
    pub(crate) audit: Vec<Entry>,
    pub(crate) results: Vec<Outcome>,
    pub(crate) ids: HashMap<usize, CallId>,
    pub(crate) settled: Vec<(usize, SettleEvent)>,
}

impl World {
    pub(crate) fn run(program: &Program, planted: Planted) -> Remains {
        repeatable(async {
            let mut world = Self::new(planted, program.hook_panics);
            for step in &program.steps {
                world.step(step).await;
            }
            world.finish(program.awaits_rest).await
        })
    }

    fn new(planted: Planted, hook_panics: bool) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let requests = Arc::<Mutex<HashMap<(usize, bool), usize>>>::default();
        let script = Arc::clone(&calls);
        let sandbox = Sandbox::new().faults_by(move |_, head| fault(&script, &requests, head));
        let sink = match planted {
            Planted::SinkLosesEnds => ScriptedSink::new().losing_ends(),
            _ => ScriptedSink::new(),
        };
        let audit = AuditLayer::new(sink.clone());
        let settled = Arc::<Mutex<Vec<_>>>::default();
        let (hook, record) = (audit.on_settle(), Arc::clone(&settled));
        let on_settle = move |event: &SettleEvent| {
            let Number(call) = *event.extensions().get().unwrap();
            record.lock().unwrap().push((call, event.clone()));
            if planted != Planted::NoHook {
                hook(event);
            }
            if hook_panics {
                resume_unwind(Box::new("the hook"));
            }
        };
        let ids = Arc::<Mutex<HashMap<_, _>>>::default();
        let (above, below) = (Arc::clone(&calls), Arc::clone(&calls));
        let seen = Arc::clone(&ids);
        let barrier = match planted {
            Planted::NoBarrier => Either::Left(tower::layer::util::Identity::new()),
            _ => Either::Right(AuditBarrierLayer::new()),
        };
        let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
            .on_settle(on_settle)
            .retry(RetryConfig::default().budget(false))
            .observe_layer(audit.clone())
            .observe_layer(AttributionLayer::new("model"))
            .call_layer(layer_fn(move |inner| Above {
                inner,
                calls: Arc::clone(&above),
                ids: Arc::clone(&seen),
            }))
            .call_layer(barrier)
            .call_layer(layer_fn(move |inner| Below {
                inner,
                calls: Arc::clone(&below),
            }))
            .build()
            .unwrap();
        Self {
            sandbox,
            sink,
            audit,
            client,
            calls,
            results: Vec::new(),
            ids,
            flights: Vec::new(),
            tokens: Vec::new(),
            claimed: Vec::new(),
            settled,
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Create(call) => {
                let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
                self.start(call, ActorTokenRequest::create(create), None);
            }
            Step::Revoke(index, call) => {
                if !self.claimed.is_empty() {
                    let id = self.claimed.remove(index.index(self.claimed.len()));
                    self.start(call, ActorTokenRequest::revoke(id.clone()), Some(id));
                }
            }
            Step::Poll(index) => {
                if let Some(flight) = self.flight(index) {
                    self.proceed(flight, false).await;
                }
            }
            Step::Finish(index) => {
                if let Some(flight) = self.flight(index) {
                    self.proceed(flight, true).await;
                }
            }
            Step::Drop(index) => {
                if let Some(flight) = self.flight(index) {
                    self.cancel(flight);
                }
            }
            Step::Use(index, claims) => {
                if !self.tokens.is_empty() {
                    let at = index.index(self.tokens.len());
                    let (call, token) = self.tokens.remove(at);
                    self.use_up(call, &token, *claims);
                }
            }
            Step::Advance(time) => tokio::time::advance(*time).await,
            Step::Yield => {
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
            }
            Step::Sink(mode) => self.sink.set(*mode),
            Step::SinkOnce(mode) => self.sink.once(*mode),
        }
    }

    fn start(
        &mut self,
        call: &Call,
        mut request: ActorTokenRequest,
        revokes: Option<ActorTokenId>,
    ) {
        let number = self.results.len();
        self.calls.lock().unwrap().push(call.clone());
        self.results.push(Outcome {
            revokes,
            result: CallResult::InFlight,
            has_claimed: false,
        });
        request.extensions_mut().insert(Number(number));
        if let Some(limit) = call.timeout {
            request = request.timeout(limit);
        }
        let client = self.client.clone();
        self.flights.push(Flight {
            call: number,
            future: Box::pin(async move { client.send(request).await }),
        });
    }

    fn flight(&mut self, index: &Index) -> Option<Flight> {
        let count = self.flights.len();
        (count > 0).then(|| self.flights.remove(index.index(count)))
    }

    async fn proceed(&mut self, mut flight: Flight, to_end: bool) {
        let polled = std::future::poll_fn(|cx| {
            match catch_unwind(AssertUnwindSafe(|| flight.future.as_mut().poll(cx))) {
                Ok(Poll::Pending) if to_end => Poll::Pending,
                polled => Poll::Ready(polled),
            }
        });
        let call = flight.call;
        self.results[call].result = match polled.await {
            Ok(Poll::Pending) => return self.flights.push(flight),
            Ok(Poll::Ready(Ok(token))) => {
                let id = token.id().clone();
                if self.results[call].revokes.is_none() {
                    self.tokens.push((call, token));
                }
                CallResult::Returned(id, self.has_end(call))
            }
            Ok(Poll::Ready(Err(error))) => CallResult::Failed(error),
            Err(_) => {
                drop(flight);
                CallResult::Panicked
            }
        };
    }

    fn has_end(&self, call: usize) -> bool {
        let ids = self.ids.lock().unwrap();
        let is_end = |entry: &Entry| {
            Some(&entry.call) == ids.get(&call)
                && matches!(entry.event, Event::End(End::Returned { .. }))
        };
        self.sink.memory.entries().iter().any(is_end)
    }

    fn cancel(&mut self, flight: Flight) {
        self.results[flight.call].result = CallResult::Cancelled;
        drop(flight);
    }

    fn use_up(&mut self, call: usize, token: &ActorToken, claims: bool) {
        if claims {
            token.ticket().map(Ticket::claim);
            self.results[call].has_claimed = true;
            self.claimed.push(token.id().clone());
        }
    }

    /// Ends everything: the sink is available again, the spool is replayed, and lost tokens are settled.
    async fn finish(mut self, awaits_rest: bool) -> Remains {
        while let Some(flight) = self.flights.pop() {
            match awaits_rest {
                true => self.proceed(flight, true).await,
                false => self.cancel(flight),
            }
        }
        self.tokens.clear();
        self.sink.set(Mode::Up);
        let report = self.client.drain(AMPLE).await;
        assert!(report.is_complete(), "{report:?}");
        self.audit.replay().await.unwrap();
        let (ids, settled) = (self.ids.lock().unwrap(), self.settled.lock().unwrap());
        Remains {
            ledger: self.sandbox.ledger(),
            audit: self.sink.memory.entries(),
            results: std::mem::take(&mut self.results),
            ids: ids.clone(),
            settled: settled.clone(),
        }
    }
}

/// Chooses the fault of a request by its call, its operation and how many of them there were.
fn fault(
    calls: &Mutex<Vec<Call>>,
    requests: &Mutex<HashMap<(usize, bool), usize>>,
    head: &Parts,
) -> Option<Fault> {
    let Number(call) = *head.extensions.get()?;
    let is_revoke = head.uri.path().ends_with("/revoke");
    let mut requests = requests.lock().unwrap();
    let before = requests.entry((call, is_revoke)).or_default();
    let calls = calls.lock().unwrap();
    let faults = match is_revoke {
        true => &calls[call].revokes,
        false => &calls[call].creates,
    };
    *before += 1;
    faults.get(*before - 1).cloned().flatten()
}

pub(crate) fn refusal() -> Error {
    let denied = ClerkError::new("denied", "denied", "This is not allowed.");
    Error::refused(StatusCode::FORBIDDEN, ClerkErrors::new(denied))
}
