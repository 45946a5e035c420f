//! RateLimit refuses what is too much, and gives back what was not sent.

use std::{
    future::{pending, ready},
    num::NonZeroU32,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken,
    Error, ErrorKind, Outcome, RetryConfig,
    layer::SettleLayer,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{
    AuthorizeLayer, Limit, LimitBy, MemoryRateLimitStore, Principal, RateLimitLayer,
    RateLimitStore, StoreUnavailable,
    rate_limit::{Cell, Taken, UNAVAILABLE},
};
use futures_util::{future::join_all, poll};
use http::{Request, StatusCode};
use tokio::{runtime::Builder, time::advance};
use tower::{Layer, Service, ServiceExt, filter::FilterLayer, layer::layer_fn, service_fn};

use crate::setup::{HOUR, SECOND, by, call, over, policy, revoke, rule};

fn limit(by: LimitBy, calls: u32) -> Limit {
    Limit::new(by, NonZeroU32::new(calls).unwrap(), 60 * SECOND)
}

/// Returns a layer that admits this many creates, and its store.
fn limited(calls: u32) -> (MemoryRateLimitStore, RateLimitLayer<MemoryRateLimitStore>) {
    let store = MemoryRateLimitStore::new();
    let layer = RateLimitLayer::new(store.clone(), [limit(LimitBy::Global, calls)]);
    (store, layer)
}

/// Returns how many units are left of the only cell of [`limited`].
async fn left(store: &MemoryRateLimitStore, calls: u32) -> usize {
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
async fn units_are_given_back_exactly_when_nothing_was_sent() {
    let rows = [
        (None, 2),
        (Some(Fault::Status(StatusCode::TOO_MANY_REQUESTS)), 2),
        (Some(Fault::Status(StatusCode::INTERNAL_SERVER_ERROR)), 2),
        (Some(Fault::DisconnectAfter), 2),
        (Some(Fault::HangBefore), 2),
    ];
    for (fault, expected) in rows {
        let sandbox = Sandbox::new();
        let (store, layer) = limited(3);
        let builder = over(&sandbox)
            .call_layer(layer)
            .retry(RetryConfig::disabled());
        fault
            .iter()
            .cloned()
            .for_each(|fault| sandbox.inject(fault));
        let result = builder.build().unwrap().send(call()).await;
        assert_eq!(result.is_ok(), fault.is_none());
        assert_eq!(left(&store, 3).await, expected, "{fault:?}");
    }

    let refusing = |_: ActorTokenRequest| Err::<ActorTokenRequest, _>(BoxError::from("full"));
    let (store, layer) = limited(3);
    let client = over(&Sandbox::new())
        .call_layer(layer)
        .call_layer(FilterLayer::new(refusing));
    let error = client.build().unwrap().send(call()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Foreign, Outcome::NotSent)
    );
    assert_eq!(left(&store, 3).await, 3);

    let (store, layer) = limited(3);
    let client = over(&Sandbox::new()).call_layer(layer);
    let invalid = CreateActorToken::new("", Actor::new("a"));
    assert!(client.build().unwrap().create(invalid).await.is_err());
    assert_eq!(left(&store, 3).await, 3);

    let (store, layer) = limited(3);
    let key = Sandbox::new().secret_key();
    let unconnected = service_fn(|_: Request<Body>| {
        ready(Err::<http::Response<String>, _>(BoxError::from("refused")))
    });
    let client = ClientBuilder::over(key, unconnected).call_layer(layer);
    let error = client.build().unwrap().send(call()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(left(&store, 3).await, 3);
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

/// A transport that queues bodies and never responds.
fn queueing(queue: &Arc<Mutex<Vec<Body>>>, layer: RateLimitLayer<MemoryRateLimitStore>) -> Client {
    let queue = Arc::clone(queue);
    let transport = service_fn(move |request: Request<Body>| {
        queue.lock().unwrap().push(request.into_body());
        pending::<Result<http::Response<String>, BoxError>>()
    });
    let key = Sandbox::new().secret_key();
    ClientBuilder::over(key, transport)
        .call_layer(layer)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn cancelled_call_gives_its_units_back_only_if_it_can_no_longer_be_sent() {
    for is_sent in [false, true] {
        let queue = Arc::default();
        let (store, layer) = limited(3);
        let client = queueing(&queue, layer);
        let mut sent = Box::pin(client.send(call()));
        while queue.lock().unwrap().is_empty() {
            assert!(poll!(&mut sent).is_pending());
        }
        assert_eq!(left(&store, 3).await, 2);
        let body = queue.lock().unwrap().pop().unwrap();
        let kept = if is_sent {
            Some(body.into_bytes().unwrap())
        } else {
            None
        };
        drop(sent);
        assert_eq!(left(&store, 3).await, if is_sent { 2 } else { 3 });
        drop(kept);
    }

    // A body that is still queued when the call is dropped cannot be sent any more.
    let queue = Arc::default();
    let (store, layer) = limited(3);
    let client = queueing(&queue, layer);
    let mut sent = Box::pin(client.send(call()));
    while queue.lock().unwrap().is_empty() {
        assert!(poll!(&mut sent).is_pending());
    }
    drop(sent);
    assert_eq!(left(&store, 3).await, 3);
    assert!(queue.lock().unwrap().pop().unwrap().into_bytes().is_err());
}

/// Takes the body when it is dropped.
struct TakenOnDrop(Option<Body>);

impl Drop for TakenOnDrop {
    fn drop(&mut self) {
        let taken = self.0.take().map(Body::into_bytes);
        assert!(taken.is_some_and(|bytes| bytes.is_ok()));
    }
}

#[tokio::test(start_paused = true)]
async fn body_that_is_taken_while_the_call_is_dropped_keeps_the_units() {
    let transport = service_fn(|request: Request<Body>| async {
        let _body = TakenOnDrop(Some(request.into_body()));
        pending::<Result<http::Response<String>, BoxError>>().await
    });
    let (store, layer) = limited(3);
    let key = Sandbox::new().secret_key();
    let client = ClientBuilder::over(key, transport)
        .settle(SettleLayer::disabled())
        .call_layer(layer)
        .build()
        .unwrap();
    let mut sent = Box::pin(client.send(call()));
    assert!(poll!(&mut sent).is_pending());
    drop(sent);
    assert_eq!(left(&store, 3).await, 2);
}

#[tokio::test(start_paused = true)]
async fn spawned_call_cannot_be_sent_after_its_units_were_given_back() {
    // A layer below that goes on in the background and reports a failure at once.
    let detaching = layer_fn(|inner| {
        service_fn(move |request: ActorTokenRequest| {
            let call = ServiceExt::<ActorTokenRequest>::oneshot(Clone::clone(&inner), request);
            tokio::spawn(async move { _ = detached(call).await });
            ready(Err::<ActorToken, BoxError>("gone".into()))
        })
    });
    async fn detached<F, E>(call: F) -> bool
    where
        F: Future<Output = Result<ActorToken, E>>,
    {
        call.await.is_ok()
    }
    let sandbox = Sandbox::new();
    let (store, layer) = limited(1);
    let client = over(&sandbox)
        .call_layer(layer)
        .call_layer(detaching)
        .build()
        .unwrap();
    let error = client.send(call()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(left(&store, 1).await, 1);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sandbox.ledger().minted().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn panic_below_before_anything_was_sent_gives_the_units_back() {
    let panicking = FilterLayer::new(
        |_: ActorTokenRequest| -> Result<ActorTokenRequest, BoxError> {
            panic!("a panic of the test")
        },
    );
    let (store, layer) = limited(1);
    let client = over(&Sandbox::new())
        .call_layer(layer)
        .call_layer(panicking)
        .build()
        .unwrap();
    let joined = tokio::spawn(async move { client.send(call()).await }).await;
    assert!(joined.unwrap_err().is_panic());
    assert_eq!(left(&store, 1).await, 1);
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

#[tokio::test(start_paused = true)]
async fn service_without_attempts_keeps_its_units_unless_it_says_not_sent() {
    let rows: [(Option<Error>, usize); 3] = [
        (None, 0),
        (
            Some(Error::api(StatusCode::NOT_FOUND, Default::default())),
            0,
        ),
        (
            Some(Error::refused(StatusCode::FORBIDDEN, Default::default())),
            1,
        ),
    ];
    for (error, expected) in rows {
        let (store, layer) = limited(1);
        let sandbox = Sandbox::new();
        let mut token = Some(match error {
            Some(error) => Err(error),
            None => sandbox.clone().oneshot(call()).await,
        });
        let inner = service_fn(move |_: ActorTokenRequest| ready(token.take().unwrap()));
        let mut service = layer.layer(Once(Arc::new(Mutex::new(inner))));
        _ = service.ready().await.unwrap().call(call()).await;
        assert_eq!(left(&store, 1).await, expected);
    }
}

/// Clones of a service that is not `Clone`.
struct Once<S>(Arc<Mutex<S>>);

impl<S> Clone for Once<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Service<ActorTokenRequest>> Service<ActorTokenRequest> for Once<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.0.lock().unwrap().poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> S::Future {
        self.0.lock().unwrap().call(request)
    }
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
