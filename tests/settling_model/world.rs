//! Runs a program over a client and a peer, and notes what became of every call.

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
    calls::Slot,
    made_up::MakesUp,
    program::{Call, Program, Retrying, Step},
    support::{
        peer::{Asked, CallNumber, Exchange, MARKER, Peer, USER},
        shown::shown,
    },
};

/// Longer than everything takes; the clock is paused.
const AMPLE: Duration = Duration::from_secs(3600);

/// What the client and those who use it did.
pub(crate) struct World {
    pub(crate) peer: Peer,
    layer: SettleLayer,
    retry: RetryConfig,
    reports: Arc<Mutex<Vec<Report>>>,
    client: Option<Client>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) plans: Arc<Mutex<Vec<Call>>>,
    pub(crate) answers: Vec<Answer>,
    /// Everything that was shown to anybody.
    pub(crate) shown: String,
}

/// What was told of one credential.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) call: usize,
    pub(crate) end: SettleEnd,
    pub(crate) id: Option<String>,
    shown: String,
}

/// What became of one call, as its caller knows it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// A credential that its holder answers for: read, kept, without a credential in it.
    pub(crate) returned: Option<String>,
    /// A credential that its holder gave up, knowing that nobody can use it, or that it was used.
    pub(crate) ended: Option<String>,
    pub(crate) error: Option<Error>,
    pub(crate) may_replay: bool,
}

impl World {
    pub(crate) fn run(program: &Program, layer: SettleLayer, retry: RetryConfig) -> Self {
        // Pauses are drawn from the thread's generator: the program alone decides.
        fastrand::seed(0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
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
        let peer = Peer::new(move |asked| answer(&script.lock().unwrap()[asked.call], asked));
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
            answers: Vec::new(),
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
                if let Some(slot) = self.pick(index, Slot::is_on_its_way) {
                    self.proceed(slot, false).await;
                }
            }
            Step::Finish(index) => {
                if let Some(slot) = self.pick(index, Slot::is_on_its_way) {
                    self.proceed(slot, true).await;
                }
            }
            Step::Drop(index) => {
                if let Some(slot) = self.pick(index, Slot::is_on_its_way) {
                    self.drop(slot);
                }
            }
            Step::Use(index, deed) => {
                if let Some(slot) = self.pick(index, |slot| !slot.is_on_its_way()) {
                    self.use_up(slot, *deed);
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

    /// Ends everything, and drains.
    async fn finish(&mut self, program: &Program) {
        while let Some(slot) = self.slots.pop() {
            if slot.is_on_its_way() && program.awaits_rest {
                self.proceed(slot, true).await;
            } else {
                self.drop(slot);
            }
        }
        if program.cuts_short {
            self.layer.drain(Duration::ZERO).await;
        }
        let report = self.layer.drain(AMPLE).await;
        self.shown += &format!("{report:?} {:?}", self.layer);
        for report in self.reports() {
            self.shown += &report.shown;
        }
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.counts().total(), self.reports().len() as u64);
    }

    fn start(&mut self, call: &Call) {
        let number = self.answers.len();
        self.plans.lock().unwrap().push(call.clone());
        let may_replay = call.retrying == Retrying::SettledTimeouts;
        self.answers.push(Answer {
            may_replay,
            ..Answer::default()
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
            .wire_layer(layer_fn(move |inner| MakesUp {
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
        let CallNumber(call) = *event.extensions().get().expect("whose call it was");
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
    if let Some(life) = call.life {
        create = create.expires_in(life);
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
        Retrying::AsUsual => request,
        Retrying::Never => request.retry(RetryConfig::disabled()),
        Retrying::SettledTimeouts => {
            request.retry(RetryConfig::default().retry_settled_timeouts(true))
        }
    }
}

fn answer(call: &Call, asked: Asked) -> Exchange {
    let script = match asked.kind {
        OperationKind::Create => &call.creates,
        _ => &call.revokes,
    };
    script
        .get(asked.before)
        .cloned()
        .unwrap_or_else(Exchange::prompt)
}
