//! Leases of an unknown id are watched: a session is found, and an unused token is recorded as expired.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{
    Actor, ActorToken, ClientBuilder, CreateActorToken,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{
    AuditLayer, CallId, Principal,
    audit::{Event, FollowUp, MemorySink, Note, SinkUnavailable},
};
use clerk_actor_tokens_store::{Lease, LeaseFilter, LeaseState, LeaseStore, Leases};
use http::StatusCode;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

const MINUTE: Duration = Duration::from_secs(60);

/// A store with these leases.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Vec<Lease>>>);

impl LeaseStore for Store {
    type Error = Infallible;

    async fn leases(&self, _: LeaseFilter) -> Result<Vec<Lease>, Infallible> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn note(&self, _: Note) -> Result<(), SinkUnavailable> {
        Ok(())
    }
}

struct World {
    sandbox: Sandbox,
    store: Store,
    sink: MemorySink,
    leases: Leases<Store, MemorySink>,
}

impl World {
    fn new() -> Self {
        let (sandbox, store, sink) = (Sandbox::new(), Store::default(), MemorySink::new());
        let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport());
        let client = client.build().unwrap();
        let leases = Leases::new(store.clone(), client, AuditLayer::new(sink.clone()));
        Self {
            sandbox,
            store,
            sink,
            leases,
        }
    }

    /// Adds a lease whose token was created and expires at these times, before now.
    fn lease(&self, created: Duration, expired: Duration) -> CallId {
        let (call, now) = (CallId::create(), SystemTime::now());
        let lease = Lease {
            call,
            actor_token_id: None,
            subject: "user_subject".into(),
            actor: "user_admin".into(),
            principal: None,
            reason: None,
            created_at: now - created,
            live_until: Some(now - expired),
            session_until: None,
            state: LeaseState::Lost,
            ended_at: None,
        };
        self.store.0.lock().unwrap().push(lease);
        call
    }

    /// Adds a lease whose token is live.
    fn live_lease(&self) -> CallId {
        let call = self.lease(Duration::ZERO, Duration::ZERO);
        let mut leases = self.store.0.lock().unwrap();
        leases.last_mut().unwrap().live_until = Some(SystemTime::now() + MINUTE * 60);
        call
    }

    /// Creates the token of a call.
    async fn token(&self, call: CallId) -> ActorToken {
        let client = ClientBuilder::over(self.sandbox.secret_key(), self.sandbox.transport());
        let actor = Actor::new("user_admin").claim("call", call.to_string());
        let create = CreateActorToken::new("user_subject", actor);
        client.build().unwrap().create(create).await.unwrap()
    }

    /// Watches until this is dropped.
    fn watch(&self, end_sessions: bool) -> AbortOnDropHandle<()> {
        let store = self.store.clone();
        let unknown = move || {
            let store = store.clone();
            async move { store.leases(LeaseFilter::default()).await }
        };
        let by = end_sessions.then(|| Principal::new("watcher"));
        let watch = self.leases.clone().watch(unknown, by);
        AbortOnDropHandle::new(tokio::spawn(watch))
    }

    /// Returns the follow-ups of a call.
    fn follow_ups(&self, call: CallId) -> Vec<FollowUp> {
        let entries = self.sink.entries().into_iter();
        let entries = entries.filter(|entry| entry.call == call);
        entries
            .filter_map(|entry| match entry.event {
                Event::FollowUp(event) => Some(event),
                _ => None,
            })
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn session_of_the_call_is_found_and_that_of_another_call_is_not() {
    let world = World::new();
    let (used, unused) = (world.live_lease(), world.live_lease());
    let _watch = world.watch(false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.follow_ups(used), []);
    let token = world.token(used).await;
    world.sandbox.accept(token.expose_url().unwrap()).unwrap();
    sleep(MINUTE).await;
    assert_eq!(world.follow_ups(used)[0], FollowUp::Accepted);
    assert_eq!(world.follow_ups(unused), []);
    assert_eq!(world.sandbox.ledger().live_sessions().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn session_is_ended_if_so_configured_and_tried_again_if_that_fails() {
    let world = World::new();
    let used = world.live_lease();
    let token = world.token(used).await;
    world.sandbox.accept(token.expose_url().unwrap()).unwrap();
    let _watch = world.watch(true);
    sleep(MINUTE * 2).await;
    let follow_ups = world.follow_ups(used);
    assert_eq!(
        follow_ups[..2],
        [FollowUp::Accepted, FollowUp::SessionEnded]
    );
    assert_eq!(world.sandbox.ledger().live_sessions().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn token_that_expired_without_a_session_is_recorded_as_unused() {
    let world = World::new();
    let second = Duration::from_secs(1);
    let watched = world.lease(second * 2, second);
    let seen_too_late = world.lease(MINUTE * 6, second);
    let live = world.live_lease();
    let _watch = world.watch(false);
    sleep(second).await;
    assert_eq!(world.follow_ups(watched), [FollowUp::ExpiredUnused]);
    assert_eq!(world.follow_ups(seen_too_late), []);
    assert_eq!(world.follow_ups(live), []);
}

#[tokio::test(start_paused = true)]
async fn lease_is_polled_about_once_a_minute_until_more_is_known_of_it() {
    let world = World::new();
    world.live_lease();
    let _watch = world.watch(false);
    sleep(MINUTE * 10).await;
    let polls = world.sandbox.requests();
    assert!((10..=13).contains(&polls), "{polls}");
    world.store.0.lock().unwrap().clear();
    sleep(MINUTE).await;
    let polls = world.sandbox.requests();
    sleep(MINUTE * 10).await;
    assert_eq!(world.sandbox.requests(), polls);
}

#[tokio::test(start_paused = true)]
async fn token_whose_polls_fail_for_five_minutes_stays_unknown() {
    let world = World::new();
    let second = Duration::from_secs(1);
    let call = world.lease(second * 2, second);
    for _ in 0..20 {
        world.sandbox.inject(Fault::Status(StatusCode::FORBIDDEN));
    }
    let _watch = world.watch(false);
    sleep(second).await;
    // It has expired, so a store no longer returns it as live.
    world.store.0.lock().unwrap().clear();
    sleep(MINUTE * 30).await;
    let polls = world.sandbox.requests();
    assert!((6..=8).contains(&polls), "{polls}");
    assert_eq!(world.follow_ups(call), []);
}
