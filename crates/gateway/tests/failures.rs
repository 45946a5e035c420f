//! What happens when a part fails: rows of the table in the README that no other test has.
//!
//! The full, read-only and moved database are in `store/failures.rs`; limits of calls and connections in
//! `wire.rs` and `serve.rs`; the quota in `quota.rs`; signals in `cli.rs`; a killed process in `kill.rs`; Redis, and a
//! gateway that is killed beside another one, in `many`.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Error, Outcome,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_gateway::store::{
    Lease, LeaseFilter, LeaseState, Note, Store, StoreError, StoreOptions,
};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Begin, Entry, Event},
};
use http::StatusCode;
use rusqlite::Connection;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle, time::Instant};

#[path = "../../../tests/support/wait.rs"]
mod wait;
mod world;

use wait::until;
use world::{KEY, World, create};

/// Waits until the ledger has this many tokens.
async fn minted(sandbox: &Sandbox, count: usize) {
    until(async || sandbox.ledger().minted().len() == count).await;
}

/// Locks the database, as another process could, until it is dropped.
fn lock(world: &World) -> Connection {
    let blocker = Connection::open(world.database()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    blocker
}

/// Begins a create, and locks the database when its token is minted.
async fn create_and_lock(world: &World) -> (JoinHandle<Result<ActorToken, Error>>, Connection) {
    let delay = Fault::DelayAfter(Duration::from_millis(500));
    world.sandbox.inject(delay);
    let served = world.serve().await;
    let call = tokio::spawn(async move { served.sdk(KEY).create(create()).await });
    minted(&world.sandbox, 1).await;
    (call, lock(world))
}

async fn leases(world: &World, filter: LeaseFilter) -> Vec<Lease> {
    world.gateway.leases().list(filter).await.unwrap()
}

/// Waits until there is one lease, which is revoked.
async fn lease_is_revoked(world: &World) {
    until(async || {
        let leases = leases(world, LeaseFilter::default()).await;
        leases.len() == 1 && leases[0].state == LeaseState::Revoked
    })
    .await;
}

async fn calls(world: &World, query: &str) -> Vec<Value> {
    let received = world
        .ask("GET", &format!("/calls?{query}"), "", "viewer")
        .await;
    received.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn database_that_hangs_delays_a_create_by_two_seconds_until_it_is_known() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let blocker = lock(&world);
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let error = sdk.create(create()).await.unwrap_err();
        times.push(begun.elapsed());
        assert_eq!(error.code(), Some("audit_unavailable"));
        assert_eq!(error.outcome(), Outcome::Unknown, "a 503 of any peer");
    }
    assert!(
        times.iter().all(|time| *time < Duration::from_secs(4)),
        "{times:?}"
    );
    assert!(
        times[4] < Duration::from_secs(1),
        "refused at once: {times:?}"
    );
    assert_eq!(world.sandbox.ledger().minted().len(), 0);
    drop(blocker);
    until(async || sdk.create(create()).await.is_ok()).await;
}

#[tokio::test]
async fn create_whose_end_cannot_be_written_is_revoked() {
    let world = World::open(Sandbox::new(), "").await;
    let (call, blocker) = create_and_lock(&world).await;
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some("audit_unavailable"));
    until(async || world.sandbox.ledger().revoked().count() == 1).await;
    drop(blocker);
    lease_is_revoked(&world).await;
}

#[tokio::test]
async fn create_whose_end_waits_in_the_spool_is_returned() {
    let world = World::open_with_line(Sandbox::new(), "[storage]", "spool_ends = true").await;
    let (call, blocker) = create_and_lock(&world).await;
    let token = call.await.unwrap().unwrap();
    assert!(token.expose_url().is_some());
    drop(blocker);
    until(async || calls(&world, "end=returned").await.len() == 1).await;
    assert_eq!(world.sandbox.ledger().pending().count(), 1);
}

#[tokio::test]
async fn create_while_clerk_is_unreachable_is_a_503_and_was_not_sent() {
    let mut world = World::open(Sandbox::new(), "").await;
    world.server = None;
    let served = world.serve().await;
    let error = served.sdk(KEY).create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    let calls = calls(&world, "end=failed").await;
    assert_eq!(calls[0]["outcome"], "not_sent");
    assert_eq!(leases(&world, LeaseFilter::default()).await, []);
}

#[tokio::test]
async fn create_that_clerk_does_not_respond_to_is_a_504_and_its_token_a_lost_lease() {
    let world = World::open_with_line(Sandbox::new(), "[clerk]", "call_timeout = 1").await;
    world.sandbox.inject(Fault::HangAfter);
    let served = world.serve().await;
    let error = served.sdk(KEY).create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::GATEWAY_TIMEOUT));
    let leases = leases(&world, LeaseFilter::live()).await;
    assert_eq!(leases.len(), 1);
    assert_eq!(
        (leases[0].state, &leases[0].actor_token_id),
        (LeaseState::Lost, &None)
    );
    let token = world.sandbox.ledger();
    let token = token.minted().next().unwrap();
    assert_eq!(token.actor().claims()["call"], leases[0].call.to_string());
    assert!(leases[0].live_until >= Some(token.expires_at()));
}

#[tokio::test]
async fn token_of_a_response_that_comes_after_the_timeout_is_revoked() {
    let world = World::open_with_line(Sandbox::new(), "[clerk]", "call_timeout = 1").await;
    world
        .sandbox
        .inject(Fault::DelayAfter(Duration::from_millis(1500)));
    let served = world.serve().await;
    let error = served.sdk(KEY).create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::GATEWAY_TIMEOUT));
    until(async || world.sandbox.ledger().revoked().count() == 1).await;
    lease_is_revoked(&world).await;
}

#[tokio::test]
async fn create_after_a_429_waits_and_one_with_too_long_a_wait_is_refused() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    world.sandbox.inject(Fault::RateLimited {
        retry_after: Duration::from_secs(60),
    });
    let error = sdk.create(create()).await.unwrap_err();
    assert!(error.is_rate_limited());
    let requests = world.sandbox.requests();
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert!(
        error.retry_after() > Some(Duration::from_secs(50)),
        "{error:?}"
    );
    assert_eq!(
        world.sandbox.requests(),
        requests,
        "the second one was not sent"
    );
}

#[tokio::test]
async fn key_that_clerk_refuses_is_a_502() {
    let world = World::open(Sandbox::new(), "").await;
    world
        .sandbox
        .inject(Fault::Status(StatusCode::UNAUTHORIZED));
    let served = world.serve().await;
    let error = served.sdk(KEY).create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
}

#[tokio::test]
async fn token_of_a_caller_that_disconnects_is_revoked_and_recorded() {
    let world = World::open(Sandbox::new(), "").await;
    world
        .sandbox
        .inject(Fault::DelayAfter(Duration::from_millis(300)));
    let served = world.serve().await;
    let mut caller = TcpStream::connect(served.addr).await.unwrap();
    let body = r#"{"user_id":"user_subject","actor":{"sub":"user_admin"}}"#;
    let request = format!(
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    minted(&world.sandbox, 1).await;
    drop(caller);
    until(async || world.sandbox.ledger().revoked().count() == 1).await;
    until(async || calls(&world, "end=cancelled").await.len() == 1).await;
    lease_is_revoked(&world).await;
}

#[tokio::test]
async fn records_stay_in_order_when_the_clock_jumps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.sqlite");
    let store = Store::open(&path, StoreOptions::new()).unwrap();
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let noted = [now, now + hour, now - hour, now].map(|at| Entry {
        at,
        ..Entry::note(Note::new("clock"))
    });
    store.writer().write(noted.to_vec()).await.unwrap();
    drop(store);
    let mut lines = Vec::new();
    clerk_actor_tokens_gateway::store::export(&path, None, &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    let exported: Vec<Entry> = lines
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let calls = |entries: &[Entry]| entries.iter().map(|it| it.call).collect::<Vec<_>>();
    assert_eq!(calls(&exported), calls(&noted));
    clerk_actor_tokens_gateway::store::verify(&path, None).unwrap();
}

#[tokio::test]
async fn revoke_of_recovery_has_an_end_when_the_gateway_ends() {
    let keep = "[leases]\non_shutdown = \"keep\"\n";
    let world = World::open(Sandbox::new(), keep).await;
    let token = world.serve().await.sdk(KEY).create(create()).await.unwrap();
    assert!(token.expose_url().is_some());
    let (call, revoke) = (
        CallId::create(),
        ActorTokenRequest::revoke(token.id().clone()),
    );
    let interrupted = [Event::Begin(Begin::of(&revoke)), Event::Sending];
    let interrupted = interrupted.map(|event| Entry::new(call, event));
    world.sandbox.inject(Fault::HangBefore);
    let requests = world.sandbox.requests();
    let write = async |database: &Path| {
        let store = loop {
            match Store::open(database, StoreOptions::new()) {
                // The thread of the writer ends after its last handle.
                Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        store.write(interrupted.to_vec()).await.unwrap();
    };
    let world = world.reopen_after(write).await;
    until(async || world.sandbox.requests() > requests).await;
    world.gateway.shutdown(Duration::from_secs(30)).await;
    let database = Connection::open(world.database()).unwrap();
    let open = "SELECT count(*) FROM calls WHERE end IS NULL";
    let open: u64 = database.query_row(open, [], |row| row.get(0)).unwrap();
    assert_eq!(open, 0);
}
