//! A client, or a part of its stack, over a peer that is slow at each of its steps.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, Client, ClientBuilder, Lease, OperationKind, SecretKey, Ticket,
    client::CustomTransport,
    layer::{
        CollectBodyLayer, SettleLayer,
        collect_body::CollectBody,
        settle::{Settle, SettleEnd},
    },
};
use tower::{Layer, layer::util::Identity};

use crate::{
    parts::slow,
    support::peer::{Asked, Effect, Exchange, Peer},
};

/// Longer than everything takes; the clock is paused.
const AMPLE: Duration = Duration::from_secs(3600);

/// The time from poll to poll.
const TICK: Duration = Duration::from_millis(100);

/// Nothing here takes as many polls.
const MANY: usize = 500;

pub(crate) struct Scene {
    pub(crate) peer: Peer,
    pub(crate) layer: SettleLayer,
    reports: Arc<Mutex<Vec<Report>>>,
    /// How often a token may be revoked.
    pub(crate) most_revokes: Cell<usize>,
    /// A layer further down loses answers that tell an id.
    pub(crate) loses_answers: Cell<bool>,
}

/// How a credential ended, and its id if that was known.
type Report = (SettleEnd, Option<String>);

/// What a call gives to whoever awaits it.
pub(crate) trait Given {
    /// How many credentials have ended in the hands of their holder, without a report.
    const ENDS: usize = 0;

    /// Keeps the credential, if there is one. Returns its id.
    fn keep(self) -> Option<String>;
}

impl Given for ActorToken {
    fn keep(self) -> Option<String> {
        self.ticket().and_then(Ticket::expose_url)?;
        Some(self.id().to_string())
    }
}

impl Given for Lease {
    fn keep(self) -> Option<String> {
        Some(Lease::keep(self).id().to_string())
    }
}

impl Given for () {
    fn keep(self) -> Option<String> {
        None
    }
}

pub(crate) type Deed<T> = Pin<Box<dyn Future<Output = Option<T>>>>;

impl Scene {
    /// Creates are answered by `creates` one after the other, revokes promptly.
    pub(crate) fn new(creates: &[Exchange]) -> Self {
        Self::settled_by(SettleLayer::new(), creates)
    }

    pub(crate) fn settled_by(layer: SettleLayer, creates: &[Exchange]) -> Self {
        let creates = creates.to_vec();
        Self::answering(layer, move |asked| match asked.kind {
            OperationKind::Create => creates
                .get(asked.before)
                .cloned()
                .unwrap_or_else(Exchange::prompt),
            _ => slow(Effect::WhenTaken),
        })
    }

    pub(crate) fn answering(
        layer: SettleLayer,
        answer: impl Fn(Asked) -> Exchange + Send + Sync + 'static,
    ) -> Self {
        let peer = Peer::new(answer);
        let reports = Arc::<Mutex<Vec<_>>>::default();
        let hook = Arc::clone(&reports);
        let layer = layer.on_settle(move |event| {
            let id = event.actor_token_id().map(ToString::to_string);
            hook.lock().unwrap().push((event.end(), id));
        });
        Self {
            peer,
            layer,
            reports,
            most_revokes: Cell::new(1),
            loses_answers: Cell::new(false),
        }
    }

    pub(crate) fn builder(&self) -> ClientBuilder<Identity, Identity, CustomTransport<Peer>> {
        ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), self.peer.clone())
            .settle(self.layer.clone())
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// The stack from the settle layer downwards.
    pub(crate) fn settled(&self) -> Settle<CollectBody<Peer>> {
        self.layer
            .layer(CollectBodyLayer::default().layer(self.peer.clone()))
    }

    /// Checks that every credential is accounted for: `kept` live, `ends` were ended by their holders,
    /// and of the others each was revoked or reported, once.
    pub(crate) async fn check(&self, kept: &[String], ends: usize, what: &str) {
        let report = self.layer.drain(AMPLE).await;
        assert!(report.is_complete(), "{what}: {report:?}");
        let (ledger, reports) = (self.peer.ledger(), self.reports.lock().unwrap());
        let mut revokes = HashMap::<_, Vec<_>>::new();
        for revoke in ledger.revokes.iter().filter(|it| it.taken) {
            revokes.entry(&revoke.id).or_default().push(revoke);
        }
        let kept: HashSet<_> = kept.iter().collect();
        let mut unknown = reports.iter().filter(|it| it.1.is_none()).count();
        for create in ledger.minted() {
            let id = &create.id;
            match revokes.get(id) {
                _ if kept.contains(id) => {
                    assert!(!revokes.contains_key(id), "{what}: {id} is in use");
                }
                Some(revokes) => {
                    assert!(revokes.iter().any(|it| it.revoked), "{what}: {id}");
                    assert!(revokes.len() <= self.most_revokes.get(), "{what}: {id}");
                }
                None => {
                    let known = create.tells_id && !self.loses_answers.get();
                    assert!(!known, "{what}: {id} could be known");
                    assert!(unknown > 0, "{what}: {id} is an orphan");
                    unknown -= 1;
                }
            }
        }
        let sent = ledger
            .creates
            .iter()
            .filter(|it| it.taken && !it.is_refused());
        let met = kept.len() + ends + reports.len();
        assert_eq!(sent.count(), met, "{what}: {reports:?}");
    }

    pub(crate) fn reports(&self) -> Vec<SettleEnd> {
        self.reports
            .lock()
            .unwrap()
            .iter()
            .map(|report| report.0)
            .collect()
    }
}

/// Begins what `start` makes, polls it as often as it takes to have dropped it after each number of
/// polls, and checks what is left each time. What it gives is dropped unread, then kept.
pub(crate) async fn drop_at_every_poll<T: Given>(
    name: &str,
    creates: &[Exchange],
    start: impl Fn(&Scene) -> Deed<T>,
) {
    for keeps in [false, true] {
        let mut ended = false;
        for polls in 0.. {
            assert!(polls < MANY, "{name} never ends");
            let scene = Scene::new(creates);
            let mut deed = start(&scene);
            let mut given = None;
            for _ in 0..polls {
                if let Poll::Ready(output) = poll_once(&mut deed).await {
                    (ended, given) = (true, output);
                    break;
                }
                // Time passes, and what runs in the background goes on.
                tokio::time::advance(TICK).await;
                tokio::task::yield_now().await;
            }
            drop(deed);
            let ends = given.as_ref().map_or(0, |_| T::ENDS);
            let kept = given.filter(|_| keeps).and_then(Given::keep);
            let kept: Vec<_> = kept.into_iter().collect();
            let what = format!("{name}, dropped after {polls} polls");
            scene.check(&kept, ends, &what).await;
            if ended {
                break;
            }
        }
    }
}

pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}
