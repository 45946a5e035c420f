//! Settling in a stack that is assembled by hand, with a user's layer between ours.

mod support {
    pub(crate) mod peer;
}

use std::time::Duration;

use clerk_actor_tokens::{
    ActorToken, Body, BoxError, Error, TokenResponse,
    layer::{
        CollectBody, CollectBodyLayer, DecodeErrorLayer, JsonLayer, Settle, SettleLayer,
        TypedErrorLayer,
    },
};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use support::peer::{self, Exchange, Peer};
use tower::{
    Layer, Service, ServiceExt,
    layer::layer_fn,
    util::{MapRequestLayer, MapResponse},
};

/// Sends a create through a stack with `between` below DecodeError.
async fn create<L>(settle: &SettleLayer, between: L) -> Result<ActorToken, Error>
where
    L: Layer<Settle<CollectBody<Peer>>>,
    L::Service:
        Service<Request<Body>, Response = Response<TokenResponse>, Error = BoxError> + Clone,
{
    let peer = Peer::new(|_| Exchange::prompt());
    let settled = settle.layer(CollectBodyLayer::default().layer(peer));
    let attempts = DecodeErrorLayer::new().layer(between.layer(settled));
    let stack = TypedErrorLayer::new().layer(JsonLayer::new().layer(attempts));
    stack.oneshot(peer::create()).await
}

#[tokio::test(start_paused = true)]
async fn drain_is_incomplete_while_a_response_passes_a_layer() {
    let settle = SettleLayer::new();
    let draining = settle.clone();
    let between = layer_fn(move |settled| {
        let draining = draining.clone();
        MapResponse::new(settled, move |response: Response<TokenResponse>| {
            let report = draining.drain(Duration::ZERO).now_or_never();
            assert!(report.is_none_or(|report| report.in_flight() == 1));
            response
        })
    });
    let token = create(&settle, between).await.unwrap();
    let report = settle.drain(Duration::ZERO).await;
    assert!(report.is_complete(), "the caller has the token: {report:?}");
    token.ticket().unwrap().claim();
}

#[tokio::test(start_paused = true)]
async fn compensating_revoke_succeeds_when_a_layer_below_json_sets_the_key() {
    let settle = SettleLayer::new();
    let between = MapRequestLayer::new(|mut request: Request<Body>| {
        let key = HeaderValue::from_static("Bearer of a gateway");
        request.headers_mut().insert(AUTHORIZATION, key);
        request
    });
    drop(create(&settle, between).await.unwrap());
    let report = settle.drain(Duration::from_secs(60)).await;
    assert_eq!(report.counts().revoked, 1);
}
