//! Retry decides by the outcome of each attempt, and waits for a `Retry-After` or a random backoff.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenId, Body, BoxError, ClerkErrors, ClientBuilder, CreateActorToken, Error,
    KeyProvider, KeySource, OperationKind, Outcome, Payload, RetryConfig, SecretKey, TokenResponse,
    layer::{DecodeErrorLayer, RetryLayer, retry::Verdict},
    sandbox::{Fault, Sandbox},
};
use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn, util::MapErrLayer};

const ONCE: u32 = 1;
const RETRIED: u32 = 3;

fn api(status: u16) -> Error {
    Error::api(
        StatusCode::from_u16(status).unwrap(),
        ClerkErrors::default(),
    )
}

/// Returns the number of attempts of a call whose attempts fail like this.
async fn attempts(config: &RetryConfig, payload: Payload, fail: impl Fn() -> BoxError) -> u32 {
    let made = AtomicU32::new(0);
    let attempt = service_fn(|_: Request<Payload>| {
        made.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<(), _>(fail()))
    });
    let retry = RetryLayer::new(config.clone()).layer(attempt);
    retry.oneshot(Request::new(payload)).await.unwrap_err();
    made.load(Ordering::SeqCst)
}

/// Returns the numbers of attempts of a create and of a revoke.
async fn both(fail: impl Fn() -> BoxError) -> [u32; 2] {
    let (create, revoke) = (OperationKind::Create, OperationKind::Revoke);
    let config = RetryConfig::default();
    [
        attempts(&config, Payload::new(create, "{}"), &fail).await,
        attempts(&config, Payload::new(revoke, ""), &fail).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn attempt_is_retried_by_its_outcome_and_status() {
    for status in [421, 425, 429] {
        assert_eq!(both(|| api(status).into()).await, [RETRIED; 2], "{status}");
    }
    for status in [400, 401, 402, 403, 404, 409, 413, 415, 422] {
        assert_eq!(both(|| api(status).into()).await, [ONCE; 2], "{status}");
    }
    for status in [408, 460, 499, 500, 502, 503, 504] {
        let made = both(|| api(status).into()).await;
        assert_eq!(made, [ONCE, RETRIED], "{status}");
    }
    for (status, expected) in [(400, ONCE), (429, RETRIED), (503, RETRIED)] {
        let made = both(|| api(status).with_outcome(Outcome::NotSent).into()).await;
        assert_eq!(made, [expected; 2], "{status} before the request was sent");
    }
    let applied = || api(502).with_outcome(Outcome::Applied).into();
    assert_eq!(both(applied).await, [ONCE; 2]);
    // An HTTP/2 peer refuses a stream without a status.
    let no_status = || Error::from("?".parse::<ActorTokenId>().unwrap_err());
    let refused = || no_status().with_outcome(Outcome::Rejected).into();
    assert_eq!(both(refused).await, [RETRIED; 2]);
    let permanent = || no_status().with_outcome(Outcome::NotSent).into();
    assert_eq!(both(permanent).await, [ONCE; 2]);
    let of_a_layer = || Error::refused(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::default());
    assert_eq!(both(|| of_a_layer().into()).await, [ONCE; 2]);
}

#[tokio::test(start_paused = true)]
async fn untyped_error_counts_as_unknown() {
    assert_eq!(both(|| "failed".into()).await, [ONCE, RETRIED]);
}

#[tokio::test(start_paused = true)]
async fn attempt_that_could_not_connect_is_retried() {
    let made = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&made);
    let transport = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<Response<TokenResponse>, _>(BoxError::from("refused")))
    });
    let stack = DecodeErrorLayer::new().layer(transport);
    let stack = RetryLayer::new(RetryConfig::default()).layer(stack);
    let request = Request::new(Payload::new(OperationKind::Create, "{}"));
    stack.oneshot(request).await.unwrap_err();
    assert_eq!(made.load(Ordering::SeqCst), RETRIED);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_up_to_ten_seconds() {
    let config = RetryConfig::default().max_attempts(2);
    for (wait, made, took) in [(10, 2, 10), (11, 1, 0)] {
        let limited = || api(429).with_retry_after(Duration::from_secs(wait)).into();
        let begun = Instant::now();
        let payload = Payload::new(OperationKind::Revoke, "");
        assert_eq!(attempts(&config, payload, limited).await, made, "{wait} s");
        assert_eq!(begun.elapsed(), Duration::from_secs(took), "{wait} s");
    }
}

#[tokio::test(start_paused = true)]
async fn backoff_is_random_from_zero_to_the_longest() {
    let config = RetryConfig::default().max_attempts(2);
    let config = config.initial_interval(Duration::from_secs(1));
    let mut backoffs = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        let payload = Payload::new(OperationKind::Revoke, "");
        assert_eq!(attempts(&config, payload, || api(503).into()).await, 2);
        backoffs.push(begun.elapsed().as_millis());
    }
    // The clock rounds up to a whole millisecond.
    assert!(backoffs.iter().all(|millis| *millis <= 1001));
    assert!(backoffs.iter().any(|millis| *millis < 250));
    assert!(backoffs.iter().any(|millis| *millis > 750));
}

#[tokio::test(start_paused = true)]
async fn longest_backoff_grows_with_each_retry_up_to_its_limit() {
    let default = RetryConfig::default();
    let endless = default.clone().exponent(f64::NAN);
    let endless = endless.initial_interval(Duration::MAX);
    let zero = default.clone().initial_interval(Duration::ZERO);
    let zero = zero.exponent(f64::INFINITY);
    for (config, first) in [
        (default, [100, 200, 400, 800, 1600, 3200, 5000]),
        (endless, [5000; 7]),
        (zero, [0; 7]),
    ] {
        let times = Mutex::new(Vec::new());
        let failed = || {
            times.lock().unwrap().push(Instant::now());
            api(503).into()
        };
        // With more retries than a power of two can count.
        let config = config.max_attempts(1100).budget(false);
        fastrand::seed(4711);
        let payload = Payload::new(OperationKind::Revoke, "");
        assert_eq!(attempts(&config, payload, failed).await, 1100);
        fastrand::seed(4711);
        let times = times.into_inner().unwrap();
        let last = first.last().copied();
        let longest = first
            .into_iter()
            .chain(std::iter::repeat_n(last.unwrap(), 1092));
        for (pair, longest) in times.windows(2).zip(longest) {
            let expected = Duration::from_millis(longest).mul_f64(fastrand::f64());
            let waited = pair[1] - pair[0];
            // The clock rounds up to a whole millisecond.
            assert!(waited >= expected && waited <= expected + Duration::from_millis(1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn create_is_not_retried_after_an_error_that_hides_an_earlier_attempt() {
    let config = RetryConfig::default();
    let payload = Payload::new(OperationKind::Create, "{}");
    assert_eq!(
        attempts(&config, payload.clone(), || api(429).into()).await,
        RETRIED
    );
    payload.clone().begin_attempt().into_bytes().unwrap();
    assert_eq!(attempts(&config, payload, || api(429).into()).await, ONCE);
}

#[tokio::test(start_paused = true)]
async fn doubt_that_the_configuration_accepts_is_accepted_for_the_rest_of_the_call() {
    let sandbox = Sandbox::new();
    sandbox.inject(Fault::HangAfter);
    sandbox.inject(Fault::Status(StatusCode::TOO_MANY_REQUESTS));
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::default().retry_settled_timeouts(true))
        .attempt_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    client.create(create).await.unwrap();
    assert_eq!(sandbox.requests(), 3);
}

/// A provider may have another key, so the key of every 401 may be stale.
struct Provider;

impl KeyProvider for Provider {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        Ok(SecretKey::new("sk_test_1")?)
    }
}

#[tokio::test]
async fn key_is_renewed_once_and_only_after_an_attempt_without_effect() {
    for (outcome, attempts) in [
        (Outcome::Rejected, 2),
        (Outcome::Unknown, 1),
        (Outcome::Applied, 1),
    ] {
        let transport = service_fn(|request: Request<Body>| async {
            let _sent = request.into_body().into_bytes();
            Ok::<_, BoxError>(Response::builder().status(401).body(String::new())?)
        });
        let judge = MapErrLayer::new(move |error: BoxError| -> BoxError {
            error
                .downcast::<Error>()
                .unwrap()
                .with_outcome(outcome)
                .into()
        });
        let client = ClientBuilder::over(KeySource::provider(Provider), transport)
            .attempt_layer(judge)
            .build()
            .unwrap();
        let create = CreateActorToken::new("user_1", Actor::new("user_2"));
        let error = client.create(create).await.unwrap_err();
        assert_eq!(error.attempts(), attempts, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn second_backoff_is_up_to_twice_as_long() {
    let config = RetryConfig::default().max_attempts(3);
    let config = config.initial_interval(Duration::from_secs(1));
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let begun = Instant::now();
        let payload = Payload::new(OperationKind::Revoke, "");
        assert_eq!(attempts(&config, payload, || api(503).into()).await, 3);
        longest = longest.max(begun.elapsed());
    }
    assert!(longest > Duration::from_millis(2100), "{longest:?}");
    assert!(longest < Duration::from_millis(3010), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn classifier_of_the_layer_replaces_the_verdict() {
    for (verdict, expected) in [(Verdict::Stop, ONCE), (Verdict::Retry, RETRIED)] {
        let made = AtomicU32::new(0);
        let attempt = service_fn(|_: Request<Payload>| {
            made.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Err::<(), BoxError>(api(429).into()))
        });
        let layer = RetryLayer::new(RetryConfig::default()).classifier(move |_, _, _| verdict);
        let request = Request::new(Payload::new(OperationKind::Create, "{}"));
        layer.layer(attempt).oneshot(request).await.unwrap_err();
        assert_eq!(made.load(Ordering::SeqCst), expected, "{verdict:?}");
    }
}
