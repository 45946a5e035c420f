//! Runs a program over a client and a peer, and records the result of each call.

use std::{
    panic::resume_unwind,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Client, ClientBuilder, CreateActorToken, Error, OperationKind,
    RetryConfig, SecretKey,
    layer::{
        SettleLayer,
        settle::{SettleEnd, SettleEvent},
    },
};
use proptest::sample::Index;
use tower::layer::layer_fn;

use crate::{
    interceptor::Interceptor,
    program::{Call, Program, Retrying, Step},
    support::{
        peer::{CallNumber, Exchange, MARKER, Peer, ReceivedRequest, USER},
        repeatable::repeatable,
        shown::shown,
    },
    tokens::Slot,
};

/// Longer than all settling takes. The clock is paused.
const DRAIN_LIMIT: Duration = Duration::from_secs(3600);

/// A client, a peer, and the results so far.
pub(crate) struct World {
    pub(crate) peer: Peer,
    layer: SettleLayer,
    retry: RetryConfig,
    reports: Arc<Mutex<Vec<Report>>>,
    client: Option<Client>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) plans: Arc<Mutex<Vec<Call>>>,
    pub(crate) results: Vec<CallResult>,
    /// All texts of results and reports.
    pub(crate) shown: String,
}

/// A settle event.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) call: usize,
    pub(crate) end: SettleEnd,
    pub(crate) id: Option<String>,
    shown: String,
}

/// The result of a call for its caller.
#[derive(Debug, Default)]
pub(crate) struct CallResult {
    /// The id of a token that was returned: its ticket was read, its lease kept, or it has no credential.
    pub(crate) returned: Option<String>,
    /// The id of a token that its holder revoked, or that was accepted or expired.
    pub(crate) ended: Option<String>,
    pub(crate) error: Option<Error>,
    pub(crate) may_replay: bool,
}

impl World {
    pub(crate) fn run(program: &Program, layer: SettleLayer, retry: RetryConfig) -> Self {
        repeatable(async {
            let mut world = Self::new(layer, retry, program.hook_panics);
            for step in &program.steps {
                world.step(step).await;
            }
            world.finish(program).await;
            world
        })
    }

    fn new(layer: SettleLayer, retry: RetryConfig, hook_panics: bool) -> Self {
        let plans = Arc::<Mutex<Vec<Call>>>::default();
        let script = Arc::clone(&plans);
        let peer =
            Peer::new(move |received| respond(&script.lock().unwrap()[received.call], received));
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let hook = Arc::clone(&reports);
        let layer = layer.on_settle(move |event| {
            hook.lock().unwrap().push(Report::of(event));
            if hook_panics {
                resume_unwind(Box::new("the hook"));
            }
        });
        Self {
            peer,
            layer,
            retry,
            reports,
            client: None,
            slots: Vec::new(),
            plans,
            results: Vec::new(),
            shown: String::new(),
        }
    }

    pub(crate) fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap().clone()
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Start(call) => self.start(call),
            Step::Poll(index) => {
                if let Some(slot) = self.pick(index, Slot::is_in_flight) {
                    self.proceed(slot, false).await;
                }
            }
            Step::Finish(index) => {
                if let Some(slot) = self.pick(index, Slot::is_in_flight) {
                    self.proceed(slot, true).await;
                }
            }
            Step::Drop(index) => {
                if let Some(slot) = self.pick(index, Slot::is_in_flight) {
                    self.drop(slot);
                }
            }
            Step::Use(index, action) => {
                if let Some(slot) = self.pick(index, |slot| !slot.is_in_flight()) {
                    self.use_token(slot, *action);
                }
            }
            Step::Advance(time) => tokio::time::advance(*time).await,
            Step::Yield => {
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
            }
            Step::DropClient => self.client = None,
            Step::Drain(limit) => drop(self.layer.drain(*limit).await),
        }
    }

    /// Ends all calls, drops all tokens, and drains.
    async fn finish(&mut self, program: &Program) {
        while let Some(slot) = self.slots.pop() {
            if slot.is_in_flight() && program.awaits_calls {
                self.proceed(slot, true).await;
            } else {
                self.drop(slot);
            }
        }
        if program.drains_at_once {
            self.layer.drain(Duration::ZERO).await;
        }
        let report = self.layer.drain(DRAIN_LIMIT).await;
        self.shown += &format!("{report:?} {:?}", self.layer);
        for report in self.reports() {
            self.shown += &report.shown;
        }
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.counts().total(), self.reports().len() as u64);
    }

    fn start(&mut self, call: &Call) {
        let number = self.results.len();
        self.plans.lock().unwrap().push(call.clone());
        let may_replay = call.retrying == Retrying::SettledTimeouts;
        self.results.push(CallResult {
            may_replay,
            ..CallResult::default()
        });
        let plans = Arc::clone(&self.plans);
        let client = self.client.get_or_insert_with(|| {
            ClientBuilder::over(
                SecretKey::new(format!("sk_test_{MARKER}")).unwrap(),
                self.peer.clone(),
            )
            .settle(self.layer.clone())
            .retry(self.retry.clone())
            .max_response_bytes(4096)
            .wire_layer(layer_fn(move |inner| Interceptor {
                inner,
                plans: Arc::clone(&plans),
            }))
            .build()
            .unwrap()
        });
        let (client, request) = (client.clone(), request(number, call));
        self.slots.push(if call.leased {
            Slot::Lease(number, Box::pin(async move { client.lease(request).await }))
        } else {
            Slot::Create(number, Box::pin(async move { client.send(request).await }))
        });
    }

    fn pick(&mut self, index: &Index, fits: impl Fn(&Slot) -> bool) -> Option<Slot> {
        let fitting: Vec<_> = (0..self.slots.len())
            .filter(|at| fits(&self.slots[*at]))
            .collect();
        (!fitting.is_empty()).then(|| self.slots.remove(*index.get(&fitting)))
    }
}

impl Report {
    fn of(event: &SettleEvent) -> Self {
        let CallNumber(call) = *event.extensions().get().expect("a call has a number");
        Self {
            call,
            end: event.end(),
            id: event.actor_token_id().map(ToString::to_string),
            shown: format!("{event:?} {:?}", event.error().map(|error| shown(error))),
        }
    }
}

fn request(number: usize, call: &Call) -> ActorTokenRequest {
    let mut create = CreateActorToken::new(USER, Actor::new("user_admin"));
    if let Some(lifetime) = call.lifetime {
        create = create.expires_in(lifetime);
    }
    let mut request = ActorTokenRequest::create(create);
    request.extensions_mut().insert(CallNumber(number));
    if let Some(limit) = call.timeout {
        request = request.timeout(limit);
    }
    if let Some(limit) = call.attempt_timeout {
        request = request.attempt_timeout(limit);
    }
    match call.retrying {
        Retrying::Default => request,
        Retrying::Never => request.retry(RetryConfig::disabled()),
        Retrying::SettledTimeouts => {
            request.retry(RetryConfig::default().retry_settled_timeouts(true))
        }
    }
}

fn respond(call: &Call, received: ReceivedRequest) -> Exchange {
    let script = match received.kind {
        OperationKind::Create => &call.creates,
        _ => &call.revokes,
    };
    script
        .get(received.earlier)
        .cloned()
        .unwrap_or_else(Exchange::prompt)
}
