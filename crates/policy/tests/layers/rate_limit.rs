//! RateLimit refuses the creates that are too many.

use std::{num::NonZeroU32, thread, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, CreateActorToken, ErrorKind, Outcome, sandbox::Sandbox,
};
use clerk_actor_tokens_policy::{
    AuthorizeLayer, Limit, LimitBy, MemoryRateLimitStore, Principal, RateLimitLayer,
    RateLimitStore, StoreUnavailable,
    rate_limit::{Cell, Taken, UNAVAILABLE},
};
use futures_util::future::join_all;
use http::StatusCode;
use tokio::{runtime::Builder, time::advance};

use crate::setup::{HOUR, SECOND, by, call, over, policy, revoke, rule};

fn limit(by: LimitBy, calls: u32) -> Limit {
    Limit::new(by, NonZeroU32::new(calls).unwrap(), 60 * SECOND)
}

/// Returns a layer that admits this many creates, and its store.
pub(crate) fn limited(calls: u32) -> (MemoryRateLimitStore, RateLimitLayer<MemoryRateLimitStore>) {
    let store = MemoryRateLimitStore::new();
    let layer = RateLimitLayer::new(store.clone(), [limit(LimitBy::Global, calls)]);
    (store, layer)
}

/// Returns how many units are left of the only cell of [`limited`].
pub(crate) async fn left(store: &MemoryRateLimitStore, calls: u32) -> usize {
    let cell = [Cell::new("0:global:", 60 * SECOND / calls, calls)];
    let mut receipts = Vec::new();
    while let Taken::Yes(receipt) = store.take(&cell).await.unwrap() {
        receipts.push(receipt);
    }
    let count = receipts.len();
    receipts
        .into_iter()
        .for_each(|receipt| store.give_back(receipt));
    count
}

fn of(sub: &str, user: &str, principal: &str) -> ActorTokenRequest {
    let create = CreateActorToken::new(user, Actor::new(sub));
    by(Principal::new(principal), create)
}

#[tokio::test(start_paused = true)]
async fn creates_are_counted_by_what_the_limit_names() {
    let rows = [
        (
            LimitBy::Actor,
            [("a", "u", "p"), ("a", "v", "q"), ("b", "u", "p")],
        ),
        (
            LimitBy::Subject,
            [("a", "u", "p"), ("b", "u", "q"), ("a", "v", "p")],
        ),
        (
            LimitBy::Principal,
            [("a", "u", "p"), ("b", "v", "p"), ("a", "u", "q")],
        ),
    ];
    for (by, [first, same, other]) in rows {
        let sandbox = Sandbox::new();
        let layer = RateLimitLayer::new(MemoryRateLimitStore::new(), [limit(by, 1)]);
        let client = over(&sandbox).call_layer(layer).build().unwrap();
        let send = |(sub, user, principal)| client.send(of(sub, user, principal));
        assert!(send(first).await.is_ok());
        let error = send(same).await.unwrap_err();
        assert_eq!(rule(&error), by.as_str());
        assert!(send(other).await.is_ok());
    }
}

#[test]
fn limit_that_was_written_is_read_again() {
    let written = serde_json::to_value(limit(LimitBy::Actor, 3)).unwrap();
    assert_eq!(written["per"], 60);
    let read: Limit = serde_json::from_value(written).unwrap();
    assert_eq!(read, limit(LimitBy::Actor, 3));
}

#[tokio::test(start_paused = true)]
async fn variants_of_an_id_share_their_units() {
    let long = "é".repeat(200);
    for (one, other) in [("ann".into(), " ann\n".into()), (long.clone(), long + "x")] {
        let layer = RateLimitLayer::new(MemoryRateLimitStore::new(), [limit(LimitBy::Actor, 1)]);
        let client = over(&Sandbox::new()).call_layer(layer).build().unwrap();
        let send = |sub: String| client.send(of(&sub, "user", "principal"));
        assert!(send(one).await.is_ok());
        assert_eq!(rule(&send(other).await.unwrap_err()), "actor");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_create_says_how_long_to_wait_in_whole_seconds() {
    let sandbox = Sandbox::new();
    let client = over(&sandbox).call_layer(limited(7).1).build().unwrap();
    for _ in 0..7 {
        client.send(call()).await.unwrap();
    }
    advance(Duration::from_millis(100)).await;
    let error = client.send(call()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Refused, Outcome::NotSent)
    );
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(rule(&error), "global");
    // 60 s / 7 − 100 ms = 8.47 s.
    assert_eq!(error.retry_after(), Some(9 * SECOND));
    assert_eq!(sandbox.ledger().minted().len(), 7);
    advance(9 * SECOND).await;
    assert!(client.send(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn refusal_by_one_limit_leaves_the_others_untouched() {
    let sandbox = Sandbox::new();
    let store = MemoryRateLimitStore::new();
    let limits = [limit(LimitBy::Global, 10), limit(LimitBy::Actor, 2)];
    let layer = RateLimitLayer::new(store.clone(), limits);
    let client = over(&sandbox).call_layer(layer).build().unwrap();
    for _ in 0..50 {
        _ = client.send(call()).await;
    }
    assert_eq!(sandbox.ledger().minted().len(), 2);
    assert_eq!(left(&store, 10).await, 8);
}

#[tokio::test(start_paused = true)]
async fn revokes_are_never_held_back() {
    let sandbox = Sandbox::new();
    let (store, layer) = limited(1);
    let client = over(&sandbox).call_layer(layer).build().unwrap();
    client.send(call()).await.unwrap();
    for _ in 0..10 {
        assert_eq!(
            client.send(revoke()).await.unwrap_err().kind(),
            ErrorKind::Api
        );
    }
    assert_eq!(left(&store, 1).await, 0);
}

#[tokio::test(start_paused = true)]
async fn denied_call_takes_no_unit() {
    let sandbox = Sandbox::new();
    let (store, layer) = limited(1);
    let client = over(&sandbox)
        .call_layer(AuthorizeLayer::new(policy("subjects = { allow = [] }")))
        .call_layer(layer)
        .build()
        .unwrap();
    assert!(client.send(call()).await.is_err());
    assert!(store.is_empty());
}

#[test]
fn never_more_creates_than_the_burst_under_64_clones_on_two_threads() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (sandbox, client) = {
        let _clock = runtime.enter();
        let sandbox = Sandbox::new();
        let client = over(&sandbox).call_layer(limited(50).1).build().unwrap();
        (sandbox, client)
    };
    let admitted: usize = thread::scope(|scope| {
        let threads = [(); 2].map(|()| {
            let (client, handle) = (client.clone(), runtime.handle().clone());
            scope.spawn(move || {
                let calls = (0..32).map(|_| {
                    let client = client.clone();
                    async move { client.send(call()).await.is_ok() }
                });
                let ended = handle.block_on(join_all(calls));
                ended.into_iter().filter(|is_ok| *is_ok).count()
            })
        });
        threads
            .map(|thread| thread.join().unwrap())
            .into_iter()
            .sum()
    });
    assert_eq!(admitted, 50);
    assert_eq!(sandbox.ledger().minted().len(), 50);
}

/// A store that cannot be reached.
struct Down;

impl RateLimitStore for Down {
    type Receipt = ();

    async fn take(&self, _: &[Cell<'_>]) -> Result<Taken<()>, StoreUnavailable> {
        Err(StoreUnavailable::new("connection refused"))
    }

    fn give_back(&self, (): ()) {}
}

#[tokio::test]
async fn store_that_is_down_refuses_creates_and_not_revokes() {
    let sandbox = Sandbox::new();
    let layer = RateLimitLayer::new(Down, [limit(LimitBy::Global, 1)]);
    let client = over(&sandbox).call_layer(layer).build().unwrap();
    let error = client.send(call()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Refused, Outcome::NotSent)
    );
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!((error.code(), rule(&error)), (Some(UNAVAILABLE), "store"));
    assert_eq!(
        client.send(revoke()).await.unwrap_err().kind(),
        ErrorKind::Api
    );
}

#[test]
fn limits_read_from_data_refuse_zero_and_unknown_fields() {
    let read = |text: &str| {
        let limit: Result<Limit, _> = toml::from_str(text);
        limit.map_err(|error| error.message().to_owned())
    };
    let limit = read("by = 'actor'\ncalls = 10\nper = 60\nburst = 3").unwrap();
    let expected = Limit::new(LimitBy::Actor, NonZeroU32::new(10).unwrap(), 60 * SECOND);
    assert_eq!(limit, expected.burst(NonZeroU32::new(3).unwrap()));
    let hour = read("by = 'global'\ncalls = 1\nper = 3600").unwrap();
    assert_eq!(hour, Limit::new(LimitBy::Global, NonZeroU32::MIN, HOUR));
    assert!(read("by = 'actor'\ncalls = 0\nper = 60").is_err());
    assert!(
        read("by = 'actor'\ncalls = 1\nper = 0")
            .unwrap_err()
            .contains("one second")
    );
    assert!(
        read("by = 'actor'\ncalls = 1\nper = 1\nname = 'a'")
            .unwrap_err()
            .contains("unknown field")
    );
}
