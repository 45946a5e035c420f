//! A client, or a part of its stack, over a peer whose every step takes several polls.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, Client, ClientBuilder, Lease, OperationKind, SecretKey, Ticket,
    client::{CustomTransport, Layers},
    layer::{
        CollectBodyLayer, SettleLayer,
        collect_body::CollectBody,
        settle::{Settle, SettleEnd},
    },
};
use tower::Layer;

use crate::{
    requests::slow,
    support::{
        peer::{Effect, Exchange, Peer, ReceivedRequest},
        reports::Reports,
    },
};

/// Longer than every call takes; the clock is paused.
const LONG: Duration = Duration::from_secs(3600);

/// The time between polls.
const TICK: Duration = Duration::from_millis(100);

/// More polls than any call takes.
const MAX_POLLS: usize = 500;

pub(crate) struct Setup {
    pub(crate) peer: Peer,
    pub(crate) layer: SettleLayer,
    reports: Reports,
    /// How often a token may be revoked.
    pub(crate) most_revokes: Cell<usize>,
    /// A layer below Settle loses responses that hold an id.
    pub(crate) loses_responses: Cell<bool>,
}

/// The result of a call.
pub(crate) trait Returned {
    /// How many tokens the caller has revoked, without a report.
    const ENDED: usize = 0;

    /// Claims the token, if there is one, and returns its id.
    fn claim(self) -> Option<String>;
}

impl Returned for ActorToken {
    fn claim(self) -> Option<String> {
        self.ticket().and_then(Ticket::expose_url)?;
        Some(self.id().to_string())
    }
}

impl Returned for Lease {
    fn claim(self) -> Option<String> {
        Some(Lease::keep(self).id().to_string())
    }
}

impl Returned for () {
    fn claim(self) -> Option<String> {
        None
    }
}

pub(crate) type Call<T> = Pin<Box<dyn Future<Output = Option<T>>>>;

impl Setup {
    /// The peer responds to creates with `creates` one after the other, and to revokes with a 200.
    pub(crate) fn new(creates: &[Exchange]) -> Self {
        Self::settled_by(SettleLayer::new(), creates)
    }

    pub(crate) fn settled_by(layer: SettleLayer, creates: &[Exchange]) -> Self {
        let creates = creates.to_vec();
        Self::responding(layer, move |received| match received.kind {
            OperationKind::Create => creates
                .get(received.earlier)
                .cloned()
                .unwrap_or_else(Exchange::prompt),
            _ => slow(Effect::WhenTaken),
        })
    }

    pub(crate) fn responding(
        layer: SettleLayer,
        response: impl Fn(ReceivedRequest) -> Exchange + Send + Sync + 'static,
    ) -> Self {
        let peer = Peer::new(response);
        let reports = Reports::default();
        let layer = layer.on_settle(reports.hook());
        Self {
            peer,
            layer,
            reports,
            most_revokes: Cell::new(1),
            loses_responses: Cell::new(false),
        }
    }

    pub(crate) fn builder(&self) -> ClientBuilder<Layers, CustomTransport<Peer>> {
        ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), self.peer.clone())
            .settle(self.layer.clone())
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// Returns the stack from Settle downwards.
    pub(crate) fn settled(&self) -> Settle<CollectBody<Peer>> {
        self.layer
            .layer(CollectBodyLayer::default().layer(self.peer.clone()))
    }

    /// Checks that every token was returned, revoked or reported. Those of `claimed` are live, callers revoked
    /// `ended` others, and each of the rest was revoked or reported once.
    pub(crate) async fn check(&self, claimed: &[String], ended: usize, what: &str) {
        let report = self.layer.drain(LONG).await;
        assert!(report.is_complete(), "{what}: {report:?}");
        let (ledger, reports) = (self.peer.ledger(), self.reports.all());
        let mut revokes = HashMap::<_, Vec<_>>::new();
        for revoke in ledger.revokes.iter().filter(|it| it.taken) {
            revokes.entry(&revoke.id).or_default().push(revoke);
        }
        let claimed: HashSet<_> = claimed.iter().collect();
        let mut unknown = reports.iter().filter(|it| it.1.is_none()).count();
        for create in ledger.minted() {
            let id = &create.id;
            match revokes.get(id) {
                _ if claimed.contains(id) => {
                    assert!(!revokes.contains_key(id), "{what}: {id} is in use");
                }
                Some(revokes) => {
                    assert!(revokes.iter().any(|it| it.revoked), "{what}: {id}");
                    assert!(revokes.len() <= self.most_revokes.get(), "{what}: {id}");
                }
                None => {
                    let known = create.names_id && !self.loses_responses.get();
                    assert!(!known, "{what}: the id of {id} was received");
                    assert!(unknown > 0, "{what}: {id} is neither revoked nor reported");
                    unknown -= 1;
                }
            }
        }
        let sent = ledger
            .creates
            .iter()
            .filter(|it| it.taken && !it.is_refused());
        let accounted = claimed.len() + ended + reports.len();
        assert_eq!(sent.count(), accounted, "{what}: {reports:?}");
    }

    pub(crate) fn reports(&self) -> Vec<SettleEnd> {
        self.reports.ends()
    }
}

/// Repeats a call and drops it one poll later each time, until it ends. Every token must be accounted for
/// each time. The first round drops the results unread, and the second one claims them.
pub(crate) async fn drop_at_every_poll<T: Returned>(
    name: &str,
    creates: &[Exchange],
    start: impl Fn(&Setup) -> Call<T>,
) {
    for claims in [false, true] {
        let mut has_ended = false;
        for polls in 0.. {
            assert!(polls < MAX_POLLS, "{name}: the call never ends");
            let setup = Setup::new(creates);
            let mut call = start(&setup);
            let mut returned = None;
            for _ in 0..polls {
                if let Poll::Ready(output) = poll_once(&mut call).await {
                    (has_ended, returned) = (true, output);
                    break;
                }
                // Advances the clock, and lets background tasks run.
                tokio::time::advance(TICK).await;
                tokio::task::yield_now().await;
            }
            drop(call);
            let ended = returned.as_ref().map_or(0, |_| T::ENDED);
            let claimed = returned.filter(|_| claims).and_then(Returned::claim);
            let claimed: Vec<_> = claimed.into_iter().collect();
            let what = format!("{name}, dropped after {polls} polls");
            setup.check(&claimed, ended, &what).await;
            if has_ended {
                break;
            }
        }
    }
}

pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}
