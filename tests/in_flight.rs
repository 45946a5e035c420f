//! The `Debug` of a future in flight shows nothing of the request or the response that it holds.

mod support {
    pub(crate) mod marked;
    pub(crate) mod response;
    pub(crate) mod search;
}

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, pending, ready},
    pin::pin,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    BaseUrl, Body, BoxError, ClientBuilder, KeyProvider, KeySource, Payload, SecretKey,
    TokenResponse, layer,
};
use futures_util::{StreamExt, poll, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use support::{
    marked::{
        MINTED, RevealingTransport, assert_debug_hidden, attempt, create, key, minted, payload,
    },
    search::form_in,
};
use tower::{Layer, Service, ServiceExt, service_fn};

/// Checks a future before it is polled and after each poll.
async fn assert_future_hidden<F: Future + Debug>(future: F) {
    assert_debug_hidden(&future);
    let mut future = pin!(future);
    for _ in 0..3 {
        let polled = poll!(future.as_mut());
        assert_debug_hidden(&future);
        if polled.is_ready() {
            return;
        }
    }
}

/// Checks the futures of a service.
async fn assert_service_hidden<S, R>(mut service: S, request: R)
where
    S: Service<R, Future: Debug, Error: Debug>,
{
    service.ready().await.unwrap();
    assert_future_hidden(service.call(request)).await;
}

/// A service of any level whose futures show their response; `body` makes the body.
fn revealing<R, B>(
    body: fn(Bytes) -> B,
) -> impl Service<
    R,
    Response = Response<B>,
    Error = BoxError,
    Future = Ready<Result<Response<B>, BoxError>>,
> + Clone
+ Send
+ Sync
+ 'static
where
    R: 'static,
    B: 'static,
{
    service_fn(move |_: R| ready(Ok(minted().map(|_| body(Bytes::from(MINTED))))))
}

#[tokio::test(start_paused = true)]
async fn no_future_shows_what_the_inner_future_holds() {
    for shown in [
        format!("{:?}", RevealingTransport.call(attempt())),
        format!("{:?}", revealing(Bytes::from).call(attempt())),
        format!("{:?}", revealing(TokenResponse::new).call(payload())),
    ] {
        assert!(form_in(&shown).is_some(), "{shown}");
    }

    let parts = ClientBuilder::over(key(), RevealingTransport);
    assert_service_hidden(parts.base_uri_layer().layer(RevealingTransport), attempt()).await;
    assert_service_hidden(
        parts.bearer_auth_layer().layer(RevealingTransport),
        attempt(),
    )
    .await;
    assert_service_hidden(
        parts.collect_body_layer().layer(RevealingTransport),
        attempt(),
    )
    .await;

    let collected = || revealing(|bytes| bytes);
    assert_service_hidden(parts.settle_layer().layer(collected()), attempt()).await;
    let disabled = layer::SettleLayer::disabled();
    assert_service_hidden(disabled.layer(collected()), attempt()).await;

    let settled = || revealing::<Request<Body>, _>(TokenResponse::new);
    let timeout = parts.attempt_timeout_layer();
    assert_service_hidden(timeout.layer(settled()), attempt()).await;
    let decode_error = layer::DecodeErrorLayer::new();
    assert_service_hidden(decode_error.layer(settled()), payload()).await;

    let attempts = || revealing::<Request<Payload>, _>(TokenResponse::new);
    assert_service_hidden(parts.trace_layer().layer(attempts()), payload()).await;
    let disabled = layer::TraceLayer::disabled();
    assert_service_hidden(disabled.layer(attempts()), payload()).await;
    assert_service_hidden(parts.retry_layer().layer(attempts()), payload()).await;
    assert_service_hidden(layer::JsonLayer::new().layer(attempts()), create()).await;

    assert_service_hidden(parts.clone().service().unwrap(), create()).await;
    assert_service_hidden(parts.build().unwrap(), create()).await;
}

/// A provider that never returns a key.
struct Stuck;

impl KeyProvider for Stuck {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn no_future_shows_what_it_holds_itself() {
    // A request that waits for the key.
    let auth = layer::BearerAuthLayer::new(KeySource::provider(Stuck), BaseUrl::default());
    assert_service_hidden(auth.layer(RevealingTransport), attempt()).await;

    // The head of a response, and the first frame of a body that does not end.
    let endless = service_fn(|_: Request<Body>| {
        let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from(MINTED)))];
        let body = StreamBody::new(stream::iter(frames).chain(stream::pending()));
        let (head, _) = minted().into_parts();
        ready(Ok::<_, BoxError>(Response::from_parts(head, body)))
    });
    let collect = ClientBuilder::over(key(), RevealingTransport).collect_body_layer();
    assert_service_hidden(collect.layer(endless), attempt()).await;

    // The user that the response must name.
    let silent =
        service_fn(|_: Request<Payload>| pending::<Result<Response<TokenResponse>, BoxError>>());
    assert_service_hidden(layer::JsonLayer::new().layer(silent), create()).await;
}
