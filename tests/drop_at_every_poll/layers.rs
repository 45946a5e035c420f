//! Every layer of the stack, alone above Settle.

use std::{fmt::Debug, time::Duration};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Error, Outcome, RetryConfig,
    layer::{
        DecodeErrorLayer, JsonLayer, RetryLayer, TimeoutLayer, TypedErrorLayer,
        collect_body::CollectBody, decode_error::DecodeError, settle::Settle, timeout::Timeout,
    },
};
use http::Response;
use tower::{Layer, Service, ServiceExt, buffer::BufferLayer};

use crate::{
    requests::{attempt, create, encoded_create, responses},
    setup::{Setup, drop_at_every_poll},
    support::{
        peer::{Exchange, Head, Peer},
        tower_policies::{RetryOnce, hedged},
    },
};

type Settled = Settle<CollectBody<Peer>>;

/// Shorter than an exchange, so that the timeout drops it.
const SHORT: Duration = Duration::from_millis(550);
const LONG: Duration = Duration::from_secs(30);

fn decoded(settled: Settled) -> DecodeError<Settled> {
    DecodeErrorLayer::new().layer(settled)
}

fn decoded_in_time(settled: Settled) -> DecodeError<Timeout<Settled>> {
    DecodeErrorLayer::new().layer(TimeoutLayer::new(SHORT).layer(settled))
}

/// Checks a service of the attempt level. No layer there claims a token, so all are revoked.
async fn check_attempts<S, R, T>(stack: impl Fn(Settled) -> S, request: impl Fn() -> R)
where
    S: Service<R, Response = Response<T>> + 'static,
    S::Error: Debug,
    R: 'static,
{
    for (name, creates) in responses() {
        drop_at_every_poll(name, &creates, |setup| {
            let call = stack(setup.settled()).oneshot(request());
            Box::pin(async move { call.await.ok().map(drop) })
        })
        .await;
    }
}

async fn check_calls<S>(stack: impl Fn(Settled) -> S)
where
    S: Service<ActorTokenRequest, Response = ActorToken> + 'static,
{
    for (name, creates) in responses() {
        drop_at_every_poll(name, &creates, |setup| {
            let call = stack(setup.settled()).oneshot(create());
            Box::pin(async move { call.await.ok() })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn settle_alone_loses_no_token() {
    check_attempts(|settled| settled, attempt).await;
}

#[tokio::test(start_paused = true)]
async fn attempt_timeout_loses_no_token() {
    for limit in [SHORT, LONG] {
        let stack = |settled| TimeoutLayer::new(limit).layer(settled);
        check_attempts(stack, attempt).await;
    }
}

#[tokio::test(start_paused = true)]
async fn decode_error_loses_no_token() {
    check_attempts(decoded, encoded_create).await;
    check_attempts(decoded_in_time, encoded_create).await;
}

#[tokio::test(start_paused = true)]
async fn retry_loses_no_token() {
    let retry = || RetryLayer::new(RetryConfig::default().retry_settled_timeouts(true));
    check_attempts(|settled| retry().layer(decoded(settled)), encoded_create).await;
    let stack = |settled| retry().layer(decoded_in_time(settled));
    check_attempts(stack, encoded_create).await;
}

#[tokio::test(start_paused = true)]
async fn json_loses_no_token() {
    let json = |settled| JsonLayer::new().layer(decoded(settled));
    check_calls(json).await;
    check_calls(|settled| TypedErrorLayer::new().layer(json(settled))).await;
}

#[tokio::test(start_paused = true)]
async fn call_timeout_loses_no_token() {
    for limit in [SHORT, LONG] {
        let json = |settled| JsonLayer::new().layer(decoded(settled));
        check_calls(|settled| TimeoutLayer::new(limit).layer(json(settled))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn retry_layer_of_tower_loses_no_token() {
    let once = |settled| RetryOnce::always().layer(decoded(settled));
    check_attempts(once, encoded_create).await;
    let in_time = |settled| RetryOnce::always().layer(decoded_in_time(settled));
    check_attempts(in_time, encoded_create).await;
    let twice = |settled| RetryOnce::always().layer(RetryOnce::always().layer(decoded(settled)));
    check_attempts(twice, encoded_create).await;
    check_calls(|settled| JsonLayer::new().layer(RetryOnce::always().layer(decoded(settled))))
        .await;
}

#[tokio::test(start_paused = true)]
async fn hedge_between_the_layers_loses_no_token() {
    check_attempts(|settled| hedged(decoded(settled)), encoded_create).await;
    check_attempts(|settled| hedged(decoded_in_time(settled)), encoded_create).await;
    // A hedge is not `Clone`, so it is under a buffer.
    let buffered = |settled| BufferLayer::new(4).layer(hedged(decoded(settled)));
    check_calls(|settled| JsonLayer::new().layer(buffered(settled))).await;
}

#[tokio::test(start_paused = true)]
async fn outcome_of_one_attempt_does_not_hide_that_of_another() {
    let rejected = || Exchange::refusal(429, None);
    let reset = || Exchange {
        head: Head::Fail,
        ..Exchange::prompt()
    };
    for (creates, outcome) in [
        ([rejected(), reset()], Outcome::Unknown),
        ([reset(), rejected()], Outcome::Unknown),
        ([rejected(), rejected()], Outcome::Rejected),
    ] {
        let setup = Setup::new(&creates);
        let stack = JsonLayer::new().layer(RetryOnce::always().layer(decoded(setup.settled())));
        let stack = TypedErrorLayer::new().layer(stack);
        let error: Error = stack.oneshot(create()).await.unwrap_err();
        assert_eq!(error.outcome(), outcome, "{creates:?}");
        assert_eq!(error.attempts(), 2, "{creates:?}");
        setup.check(&[], 0, "both attempts ended").await;
    }
}
