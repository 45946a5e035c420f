//! RateLimit gives the units of a call back exactly if nothing was sent.

use std::{
    future::{pending, ready},
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken,
    Error, ErrorKind, Outcome, RetryConfig,
    layer::SettleLayer,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{MemoryRateLimitStore, RateLimitLayer};
use futures_util::{FutureExt, future::BoxFuture, poll};
use http::{Request, StatusCode};
use tower::{
    Layer, Service, ServiceExt, filter::FilterLayer, layer::layer_fn, service_fn,
    util::MapFutureLayer,
};

use crate::{
    rate_limit::{left, limited},
    setup::{call, over},
};

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

/// Sends a call until the transport has its body.
async fn queued<'a>(
    client: &'a Client,
    queue: &Mutex<Vec<Body>>,
) -> BoxFuture<'a, Result<ActorToken, Error>> {
    let mut sent = client.send(call()).boxed();
    while queue.lock().unwrap().is_empty() {
        assert!(poll!(&mut sent).is_pending());
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn cancelled_call_gives_its_units_back_only_if_it_can_no_longer_be_sent() {
    for is_sent in [false, true] {
        let queue = Arc::default();
        let (store, layer) = limited(3);
        let client = queueing(&queue, layer);
        let sent = queued(&client, &queue).await;
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
    let sent = queued(&client, &queue).await;
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
    // One above the limit that waits meanwhile, so that the client does not close the call.
    async fn lingering<F: Future>(call: F) -> F::Output {
        let output = call.await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        output
    }
    let sandbox = Sandbox::new();
    let (store, layer) = limited(1);
    let client = over(&sandbox)
        .call_layer(MapFutureLayer::new(lingering))
        .call_layer(layer)
        .call_layer(detaching)
        .build()
        .unwrap();
    let error = client.send(call()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(left(&store, 1).await, 1);
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
