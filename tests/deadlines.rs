//! Timeouts of calls and of attempts, and the error of each.

use std::{
    future::pending,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken, Error,
    ErrorKind, Outcome, RetryConfig, SecretKey,
    sandbox::{Fault, Sandbox},
};
use http::{Request, Response};
use http_body::Frame;
use tokio::time::Instant;
use tower::service_fn;

const S: Duration = Duration::from_secs(1);

fn client(sandbox: &Sandbox) -> Client {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .build()
        .unwrap()
}

fn create() -> ActorTokenRequest {
    ActorTokenRequest::create(CreateActorToken::new("user_1", Actor::new("user_2")))
}

fn revoke() -> ActorTokenRequest {
    ActorTokenRequest::revoke("act_1".parse().unwrap())
}

async fn failure(client: &Client, request: ActorTokenRequest) -> (Error, Duration) {
    let begun = Instant::now();
    let error = client.send(request).await.unwrap_err();
    (error, begun.elapsed())
}

/// Returns whether two times are equal within one tick of the paused clock.
fn about(took: Duration, wanted: Duration) -> bool {
    took >= wanted && took < wanted + Duration::from_millis(10)
}

#[tokio::test(start_paused = true)]
async fn attempt_times_out_after_ten_seconds() {
    let sandbox = Sandbox::new();
    sandbox.inject(Fault::HangAfter);
    let (error, took) = failure(&client(&sandbox), create()).await;
    assert!(error.is_timeout() && about(took, 10 * S), "{took:?}");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
    assert_eq!(
        error.to_string(),
        "timed out: the attempt took longer than 10s; it may have taken effect (attempt 1)"
    );
}

#[tokio::test(start_paused = true)]
async fn call_times_out_after_thirty_seconds() {
    let sandbox = Sandbox::new();
    (0..9).for_each(|_| sandbox.inject(Fault::HangBefore));
    let request = revoke()
        .attempt_timeout(25 * S)
        .retry(RetryConfig::default());
    let (error, took) = failure(&client(&sandbox), request).await;
    assert!(error.is_timeout() && about(took, 30 * S), "{took:?}");
    assert!(
        error.to_string().contains("the call took longer than 30s"),
        "{error}"
    );
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2));
}

#[tokio::test(start_paused = true)]
async fn attempt_longer_than_the_call_is_bounded_by_the_call() {
    let sandbox = Sandbox::new();
    sandbox.inject(Fault::HangBefore);
    let request = create().timeout(S).attempt_timeout(60 * S);
    let (error, took) = failure(&client(&sandbox), request).await;
    assert!(error.is_timeout() && about(took, S), "{took:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn backoff_past_the_deadline_is_not_begun() {
    let sandbox = Sandbox::new();
    sandbox.inject(Fault::RateLimited { retry_after: 5 * S });
    let (error, took) = failure(&client(&sandbox), create().timeout(5 * S)).await;
    assert_eq!(took, Duration::ZERO);
    assert_eq!(error.retry_after(), Some(5 * S));
    assert_eq!(error.outcome(), Outcome::Rejected);
}

#[tokio::test(start_paused = true)]
async fn call_with_a_zero_timeout_is_refused_before_it_is_sent() {
    let sandbox = Sandbox::new();
    for request in [
        create().timeout(Duration::ZERO),
        create().attempt_timeout(Duration::ZERO),
    ] {
        let request = request.retry(RetryConfig::disabled());
        let (error, _) = failure(&client(&sandbox), request).await;
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Timeout, Outcome::NotSent)
        );
    }
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn largest_timeout_never_expires() {
    let sandbox = Sandbox::new();
    sandbox.inject(Fault::Delay(3600 * 24 * S));
    let request = create()
        .timeout(Duration::MAX)
        .attempt_timeout(Duration::MAX);
    client(&sandbox).send(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn timeout_before_the_body_is_taken_has_outcome_not_sent() {
    let transport = service_fn(|request: Request<Body>| async move {
        let _kept = request;
        pending::<Result<Response<String>, BoxError>>().await
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let client = ClientBuilder::over(key, transport).build().unwrap();
    let (error, _) = failure(&client, create()).await;
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert_eq!(
        error.attempts(),
        3,
        "an attempt that was not sent is retried"
    );
    let (error, _) = failure(&client, create().timeout(S)).await;
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
}

#[tokio::test(start_paused = true)]
async fn status_before_a_timeout_in_the_body_decides_the_outcome() {
    let transport = service_fn(|request: Request<Body>| async move {
        let _taken = request.into_body().into_bytes();
        let body = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<http_body::Frame<bytes::Bytes>, BoxError>,
        >());
        Ok::<_, BoxError>(Response::builder().status(404).body(body)?)
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let client = ClientBuilder::over(key, transport).build().unwrap();
    for request in [create(), create().timeout(S)] {
        let (error, _) = failure(&client, request).await;
        assert!(error.is_timeout());
        assert_eq!(error.outcome(), Outcome::Rejected, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_in_the_body_of_a_rejection_has_outcome_rejected() {
    /// A body that never ends.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    let transport = service_fn(|request: Request<Body>| async {
        let _taken = request.into_body().into_bytes();
        let response = Response::builder().status(429);
        let response = response.header("retry-after", "3600");
        Ok::<_, BoxError>(response.header("clerk-trace-id", "t1").body(Endless)?)
    });
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .build()
        .unwrap();
    let (error, took) = failure(&client, create()).await;
    assert!(about(took, 10 * S), "{took:?}");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, 1));
    assert_eq!(error.retry_after(), Some(3600 * S));
    assert_eq!(error.trace_id(), Some("t1"));
}
