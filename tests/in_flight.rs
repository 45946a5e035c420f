//! A future in flight shows nothing of the request or the answer that it holds.

mod support {
    pub(crate) mod answer;
    pub(crate) mod marked;
    pub(crate) mod search;
}

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{pending, ready},
    pin::pin,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    BaseUrl, Body, BoxError, ClientBuilder, KeyProvider, KeySource, SecretKey, layer,
};
use futures_util::{StreamExt, poll, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use support::{
    marked::{Answer, MINTED, Telltale, attempt, create, hidden, key, minted},
    search::form_in,
};
use tower::{Layer, Service, ServiceExt, service_fn};

/// Shows a future when it is made, after it was polled, and when it has ended.
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

#[tokio::test(start_paused = true)]
async fn no_future_shows_what_the_one_below_holds() {
    let told = format!("{:?}", Telltale.call(attempt()));
    assert!(form_in(&told).is_some(), "{told}");

    let parts = ClientBuilder::over(key(), Telltale);
    hidden_in(parts.base_uri_layer().layer(Telltale), attempt()).await;
    hidden_in(parts.bearer_auth_layer().layer(Telltale), attempt()).await;
    hidden_in(parts.collect_body_layer().layer(Telltale), attempt()).await;
    hidden_in(parts.settle_layer().layer(Telltale), attempt()).await;
    hidden_in(layer::SettleLayer::disabled().layer(Telltale), attempt()).await;
    hidden_in(parts.attempt_timeout_layer().layer(Telltale), attempt()).await;
    hidden_in(layer::DecodeErrorLayer::new().layer(Telltale), attempt()).await;
    hidden_in(parts.trace_layer().layer(Telltale), attempt()).await;
    hidden_in(layer::TraceLayer::disabled().layer(Telltale), attempt()).await;
    hidden_in(parts.retry_layer().layer(Telltale), attempt()).await;
    hidden_in(layer::JsonLayer::new().layer(Telltale), create()).await;
    hidden_in(parts.clone().service().unwrap(), create()).await;
    hidden_in(parts.build().unwrap(), create()).await;
}

/// Has no key, and never will.
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

    // The head of an answer whose body does not end, and the beginning of that.
    let endless = service_fn(|_: Request<Body>| {
        let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from(MINTED)))];
        let body = StreamBody::new(stream::iter(frames).chain(stream::pending()));
        let (head, _) = minted().into_parts();
        ready(Ok::<_, BoxError>(Response::from_parts(head, body)))
    });
    let collect = ClientBuilder::over(key(), Telltale).collect_body_layer();
    hidden_in(collect.layer(endless), attempt()).await;

    // What the answer must be about.
    let silent = service_fn(|_: Request<Body>| pending::<Result<Answer, BoxError>>());
    hidden_in(layer::JsonLayer::new().layer(silent), create()).await;
}
