//! Each layer of the stack alone above the settle layer.

use std::{fmt::Debug, future, time::Duration};

use bytes::Bytes;
use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Body, BoxError, Error, Outcome, RetryConfig,
    layer::{
        DecodeErrorLayer, JsonLayer, RetryLayer, TimeoutLayer, TypedErrorLayer,
        collect_body::CollectBody, settle::Settle,
    },
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, retry::Policy};

use crate::{
    parts::{answers, attempt, create, hedged},
    scene::{Scene, drop_at_every_poll},
    support::peer::{Exchange, Head, Peer},
};

type Settled = Settle<CollectBody<Peer>>;

/// Shorter than an exchange takes, so that it is dropped by the time-out, too.
const SHORT: Duration = Duration::from_millis(550);
const LONG: Duration = Duration::from_secs(30);

/// At the attempt level nobody takes over what was minted: all of it is revoked.
async fn hold_attempts<S>(layer: impl Fn(Settled) -> S)
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>> + 'static,
    S::Error: Debug,
{
    for (name, creates) in answers() {
        drop_at_every_poll(name, &creates, |scene| {
            let call = layer(scene.settled()).oneshot(attempt());
            Box::pin(async move { call.await.ok().map(drop) })
        })
        .await;
    }
}

async fn hold_calls<S>(layer: impl Fn(Settled) -> S)
where
    S: Service<ActorTokenRequest, Response = ActorToken> + 'static,
{
    for (name, creates) in answers() {
        drop_at_every_poll(name, &creates, |scene| {
            let call = layer(scene.settled()).oneshot(create());
            Box::pin(async move { call.await.ok() })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_settle_layer_by_itself_loses_nothing() {
    hold_attempts(|settled| settled).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_attempts_loses_nothing() {
    for limit in [SHORT, LONG] {
        hold_attempts(|settled| TimeoutLayer::new(limit).layer(settled)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn decoding_errors_loses_nothing() {
    hold_attempts(|settled| DecodeErrorLayer::new().layer(settled)).await;
    let timed = |settled| TimeoutLayer::new(SHORT).layer(settled);
    hold_attempts(|settled| DecodeErrorLayer::new().layer(timed(settled))).await;
}

#[tokio::test(start_paused = true)]
async fn retrying_loses_nothing() {
    let retry = || RetryLayer::new(RetryConfig::default().retry_settled_timeouts(true));
    hold_attempts(|settled| retry().layer(settled)).await;
    let decoded = |settled| DecodeErrorLayer::new().layer(TimeoutLayer::new(SHORT).layer(settled));
    hold_attempts(|settled| retry().layer(decoded(settled))).await;
}

#[tokio::test(start_paused = true)]
async fn json_loses_nothing() {
    hold_calls(|settled| JsonLayer::new().layer(settled)).await;
    hold_calls(|settled| TypedErrorLayer::new().layer(JsonLayer::new().layer(settled))).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_calls_loses_nothing() {
    for limit in [SHORT, LONG] {
        hold_calls(|settled| TimeoutLayer::new(limit).layer(JsonLayer::new().layer(settled))).await;
    }
}

/// Sends everything that was turned away, or failed, once more.
#[derive(Clone)]
struct OnceMore(bool);

impl Policy<Request<Body>, Response<Full<Bytes>>, BoxError> for OnceMore {
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<Full<Bytes>>, BoxError>,
    ) -> Option<Self::Future> {
        let failed = !result.as_ref().is_ok_and(|it| it.status() == 200);
        (failed && std::mem::take(&mut self.0)).then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_towers_loses_nothing_wherever_it_stands() {
    let once_more = || tower::retry::RetryLayer::new(OnceMore(true));
    hold_attempts(|settled| once_more().layer(settled)).await;
    hold_attempts(|settled| once_more().layer(DecodeErrorLayer::new().layer(settled))).await;
    // Both attempts are one to the layer that decodes errors.
    hold_attempts(|settled| DecodeErrorLayer::new().layer(once_more().layer(settled))).await;
    hold_calls(|settled| JsonLayer::new().layer(once_more().layer(settled))).await;
}

#[tokio::test(start_paused = true)]
async fn a_hedge_between_the_layers_loses_nothing() {
    hold_attempts(hedged).await;
    hold_attempts(|settled| DecodeErrorLayer::new().layer(hedged(settled))).await;
    hold_attempts(|settled| hedged(DecodeErrorLayer::new().layer(settled))).await;
}

#[tokio::test(start_paused = true)]
async fn what_became_of_one_exchange_says_nothing_of_another() {
    let refused = || Exchange::refusal(429, None);
    let reset = || Exchange {
        head: Head::Fail,
        ..Exchange::prompt()
    };
    for (creates, outcome) in [
        ([refused(), reset()], Outcome::Unknown),
        ([reset(), refused()], Outcome::Unknown),
        ([refused(), refused()], Outcome::Rejected),
    ] {
        let scene = Scene::new(&creates);
        let once_more = tower::retry::RetryLayer::new(OnceMore(true));
        let stack = DecodeErrorLayer::new().layer(once_more.layer(scene.settled()));
        let stack = TypedErrorLayer::new().layer(JsonLayer::new().layer(stack));
        let error: Error = stack.oneshot(create()).await.unwrap_err();
        assert_eq!(error.outcome(), outcome, "{creates:?}");
        scene.check(&[], 0, "both ended").await;
    }
}
