//! [`Driver`], the callers of the gateways.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{Actor, ActorTokenId, Client, CreateActorToken, sandbox::Sandbox};
use fastrand::Rng;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::replica::Fleet;

/// How many actors share the creates. The first one makes two of five, several times as many as its limit allows.
const ACTORS: u32 = 200;

/// What the callers know.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) calls: u64,
    pub(crate) returned: BTreeSet<ActorTokenId>,
    pub(crate) revoked: BTreeSet<ActorTokenId>,
    pub(crate) cancelled: u64,
    pub(crate) failed: u64,
    pub(crate) limited: u64,
}

/// The callers.
pub(crate) struct Driver {
    made: Arc<AtomicU64>,
    pub(crate) calls: u64,
    is_done: watch::Receiver<bool>,
    callers: Mutex<JoinSet<Seen>>,
}

impl Driver {
    /// Starts callers, which make `calls` calls together.
    pub(crate) fn start(
        fleet: &Arc<Fleet>,
        sandbox: &Sandbox,
        calls: u64,
        callers: usize,
        seed: u64,
    ) -> Self {
        let made = Arc::new(AtomicU64::new(0));
        let (done, is_done) = watch::channel(false);
        let done = Arc::new(done);
        let mut set = JoinSet::new();
        for number in 0..callers as u64 {
            let caller = Caller {
                fleet: Arc::clone(fleet),
                sandbox: sandbox.clone(),
                made: Arc::clone(&made),
                calls,
                random: Rng::with_seed(seed.wrapping_mul(1000) + number),
                seen: Seen::default(),
            };
            let done = Arc::clone(&done);
            set.spawn(async move {
                let seen = caller.run().await;
                done.send_replace(true);
                seen
            });
        }
        Self {
            made,
            calls,
            is_done,
            callers: Mutex::new(set),
        }
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed).min(self.calls)
    }

    pub(crate) fn is_done(&self) -> bool {
        *self.is_done.borrow()
    }

    /// Waits until the calls are made.
    pub(crate) async fn done(&self) {
        // The sender is gone once all callers have ended.
        let _ = self.is_done.clone().wait_for(|done| *done).await;
    }

    /// Returns what the callers know, once all have ended.
    pub(crate) async fn finish(self) -> Seen {
        let callers = self
            .callers
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let mut all = Seen::default();
        for seen in callers.join_all().await {
            all.calls += seen.calls;
            all.returned.extend(seen.returned);
            all.revoked.extend(seen.revoked);
            all.cancelled += seen.cancelled;
            all.failed += seen.failed;
            all.limited += seen.limited;
        }
        all
    }
}

struct Caller {
    fleet: Arc<Fleet>,
    sandbox: Sandbox,
    made: Arc<AtomicU64>,
    calls: u64,
    random: Rng,
    seen: Seen,
}

impl Caller {
    async fn run(mut self) -> Seen {
        let mut own: Vec<ActorTokenId> = Vec::new();
        while self.made.fetch_add(1, Ordering::Relaxed) < self.calls {
            let clients = self.fleet.clients();
            let Some(client) = self.random.choice(&clients).cloned() else {
                self.made.fetch_sub(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            self.seen.calls += 1;
            let is_revoke = !own.is_empty() && self.random.u32(0..4) == 0;
            if is_revoke {
                let id = own.swap_remove(self.random.usize(..own.len()));
                if self.limited(client.revoke(&id)).await.is_some() {
                    self.seen.revoked.insert(id);
                }
            } else if let Some(id) = self.create(&client).await {
                own.push(id);
                own.truncate(64);
            }
        }
        self.seen
    }

    async fn create(&mut self, client: &Client) -> Option<ActorTokenId> {
        let actor = match self.random.u32(0..5) {
            0 | 1 => 0,
            _ => self.random.u32(1..ACTORS),
        };
        let subject = format!("user_s{}", self.random.u32(0..2000));
        let create = CreateActorToken::new(subject, Actor::new(format!("user_a{actor}")));
        let token = self.limited(client.create(create)).await?;
        let url = token.expose_url()?.to_owned();
        self.seen.returned.insert(token.id().clone());
        if self.random.u32(0..20) == 0 {
            // It may have been revoked meanwhile, because its gateway was killed.
            let _ = self.sandbox.accept(&url);
            return None;
        }
        Some(token.id().clone())
    }

    /// Waits for a call, but drops one of ten before it has ended.
    async fn limited<T>(
        &mut self,
        call: impl Future<Output = Result<T, clerk_actor_tokens::Error>>,
    ) -> Option<T> {
        let limit = match self.random.u32(0..10) {
            0 => Duration::from_millis(self.random.u64(0..30)),
            _ => Duration::from_secs(60),
        };
        match timeout(limit, call).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) if error.status().is_some_and(|status| status == 429) => {
                self.seen.limited += 1;
            }
            Ok(Err(_)) => {
                self.seen.failed += 1;
                // A gateway that was killed refuses connections at once.
                sleep(Duration::from_millis(self.random.u64(1..20))).await;
            }
            Err(_) => self.seen.cancelled += 1,
        }
        None
    }
}
