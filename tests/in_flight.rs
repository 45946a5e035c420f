//! The `Debug` of a future in flight shows nothing of the request or the response that it holds.

mod support {
    pub(crate) mod answer;
    pub(crate) mod marked;
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
    marked::{MINTED, Telltale, attempt, create, hidden, key, minted, payload},
    search::form_in,
};
use tower::{Layer, Service, ServiceExt, service_fn};

/// Shows a future when it is made, after each poll, and when it has ended.
async fn hidden_in_flight<F: Future + Debug>(future: F) {
    hidden(&future);
    let mut future = pin!(future);
    for _ in 0..3 {
        let polled = poll!(future.as_mut());
        hidden(&future);
        if polled.is_ready() {
            return;
        }
    }
}

/// Shows the futures of a service in flight.
async fn hidden_in<S, R>(mut service: S, request: R)
where
    S: Service<R, Future: Debug, Error: Debug>,
{
    service.ready().await.unwrap();
    hidden_in_flight(service.call(request)).await;
}

/// A service of any level whose futures show everything; `body` makes the body of its response.
fn telltale<R, B>(
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
        format!("{:?}", Telltale.call(attempt())),
        format!("{:?}", telltale(Bytes::from).call(attempt())),
        format!("{:?}", telltale(TokenResponse::new).call(payload())),
    ] {
        assert!(form_in(&shown).is_some(), "{shown}");
    }

    let parts = ClientBuilder::over(key(), Telltale);
    hidden_in(parts.base_uri_layer().layer(Telltale), attempt()).await;
    hidden_in(parts.bearer_auth_layer().layer(Telltale), attempt()).await;
    hidden_in(parts.collect_body_layer().layer(Telltale), attempt()).await;

    let collected = || telltale(|bytes| bytes);
    hidden_in(parts.settle_layer().layer(collected()), attempt()).await;
    let disabled = layer::SettleLayer::disabled();
    hidden_in(disabled.layer(collected()), attempt()).await;

    let settled = || telltale::<Request<Body>, _>(TokenResponse::new);
    let timeout = parts.attempt_timeout_layer();
    hidden_in(timeout.layer(settled()), attempt()).await;
    let decode_error = layer::DecodeErrorLayer::new();
    hidden_in(decode_error.layer(settled()), payload()).await;

    let attempts = || telltale::<Request<Payload>, _>(TokenResponse::new);
    hidden_in(parts.trace_layer().layer(attempts()), payload()).await;
    let disabled = layer::TraceLayer::disabled();
    hidden_in(disabled.layer(attempts()), payload()).await;
    hidden_in(parts.retry_layer().layer(attempts()), payload()).await;
    hidden_in(layer::JsonLayer::new().layer(attempts()), create()).await;

    hidden_in(parts.clone().service().unwrap(), create()).await;
    hidden_in(parts.build().unwrap(), create()).await;
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
    hidden_in(auth.layer(Telltale), attempt()).await;

    // The head of a response whose body does not end, and the beginning of that body.
    let endless = service_fn(|_: Request<Body>| {
        let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from(MINTED)))];
        let body = StreamBody::new(stream::iter(frames).chain(stream::pending()));
        let (head, _) = minted().into_parts();
        ready(Ok::<_, BoxError>(Response::from_parts(head, body)))
    });
    let collect = ClientBuilder::over(key(), Telltale).collect_body_layer();
    hidden_in(collect.layer(endless), attempt()).await;

    // The token that the response must describe.
    let silent =
        service_fn(|_: Request<Payload>| pending::<Result<Response<TokenResponse>, BoxError>>());
    hidden_in(layer::JsonLayer::new().layer(silent), create()).await;
}
