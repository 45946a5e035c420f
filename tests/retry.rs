//! A call is retried if its outcome, its configuration and the shared retry budget allow it. Long,
//! because a promise has one file.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenId, ActorTokenRequest, ActorTokenStatus, Body, BoxError, ClerkErrors, Client,
    ClientBuilder, CreateActorToken, Error, ErrorKind, KeyProvider, KeySource, OperationKind,
    Outcome, RetryConfig, SecretKey,
    layer::retry::Verdict,
    sandbox::{Fault, Sandbox},
};
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, Sleep, sleep};
use tower::{Service, ServiceExt};

fn client(sandbox: &Sandbox, retry: RetryConfig) -> Client {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(retry)
        .build()
        .unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

fn unknown_id() -> ActorTokenId {
    "act_1".parse().unwrap()
}

fn limited(sandbox: &Sandbox, times: usize) {
    let retry_after = Duration::from_secs(1);
    (0..times).for_each(|_| sandbox.inject(Fault::RateLimited { retry_after }));
}

/// Returns a client that retries a call once. Creates are rate limited, and revokes succeed.
fn client_without_creates() -> Client {
    let transport = tower::service_fn(|request: Request<Body>| {
        let (status, body) = match request.body().kind() {
            OperationKind::Create => (429, ""),
            _ => (200, r#"{"id":"act_1","status":"revoked"}"#),
        };
        let _taken = request.into_body().into_bytes();
        std::future::ready(Response::builder().status(status).body(body.to_owned()))
    });
    ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .retry(RetryConfig::default().max_attempts(2))
        .build()
        .unwrap()
}

/// Sends this many creates, which fail, and returns the number of retries.
async fn retried(client: &Client, calls: u32) -> u32 {
    let mut retries = 0;
    for _ in 0..calls {
        retries += client.create(create()).await.unwrap_err().attempts() - 1;
    }
    retries
}

#[tokio::test(start_paused = true)]
async fn retry_budget_allows_ten_retries_then_one_per_ten_successes() {
    let client = client_without_creates();
    assert_eq!(retried(&client, 20).await, 10);
    for _ in 0..9 {
        client.revoke(&unknown_id()).await.unwrap();
        assert_eq!(retried(&client, 1).await, 0);
    }
    client.revoke(&unknown_id()).await.unwrap();
    assert_eq!(retried(&client, 1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn retry_budget_is_capped_at_ten_retries() {
    let client = client_without_creates();
    for _ in 0..100 {
        client.revoke(&unknown_id()).await.unwrap();
    }
    assert_eq!(retried(&client, 20).await, 10);
}

#[tokio::test(start_paused = true)]
async fn thousand_rate_limited_calls_share_ten_retries() {
    let sandbox = Sandbox::new();
    limited(&sandbox, 5000);
    let client = client(&sandbox, RetryConfig::default());
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.create(create()).await.unwrap_err() })
        })
        .collect();
    let mut flagged = 0;
    for call in calls {
        let error = call.await.unwrap();
        assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
        flagged += u32::from(error.is_out_of_budget());
    }
    assert_eq!(sandbox.requests(), 1010);
    assert!(flagged >= 990, "{flagged} of 1000 are flagged");
}

#[tokio::test(start_paused = true)]
async fn error_states_that_the_retry_budget_is_exhausted() {
    let sandbox = Sandbox::new();
    (0..5).for_each(|_| limited(&sandbox, 3));
    let client = client(&sandbox, RetryConfig::default());
    for _ in 0..5 {
        let error = client.create(create()).await.unwrap_err();
        assert!(!error.is_out_of_budget());
    }
    limited(&sandbox, 3);
    let error = client.create(create()).await.unwrap_err();
    assert!(error.is_out_of_budget());
    assert_eq!((error.attempts(), error.outcome()), (1, Outcome::Rejected));
    assert!(
        error.to_string().contains("retry budget exhausted"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn backoffs_of_calls_differ() {
    let backoffs = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..100 {
        let (sent, backoffs) = (Arc::new(Mutex::new(Vec::new())), Arc::clone(&backoffs));
        let sandbox = Sandbox::new();
        sandbox.inject(Fault::DisconnectBefore);
        sandbox.inject(Fault::DisconnectBefore);
        let recorded = Arc::clone(&sent);
        let transport = sandbox.transport();
        let recording = tower::service_fn(move |request: Request<Body>| {
            recorded.lock().unwrap().push(Instant::now());
            transport.clone().oneshot(request)
        });
        let client = ClientBuilder::over(sandbox.secret_key(), recording)
            .build()
            .unwrap();
        client.revoke(&unknown_id()).await.unwrap_err();
        let sent = sent.lock().unwrap().clone();
        let sequence: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(sequence.len(), 2);
        backoffs.lock().unwrap().push(sequence);
    }
    let mut backoffs = backoffs.lock().unwrap().clone();
    backoffs.sort();
    backoffs.dedup();
    // The paused clock has a resolution of one millisecond, so a few may be equal.
    assert!(
        backoffs.len() > 90,
        "{} of 100 sequences differ",
        backoffs.len()
    );
}

#[tokio::test(start_paused = true)]
async fn retry_config_of_a_call_overrides_that_of_the_client() {
    let sandbox = Sandbox::new();
    limited(&sandbox, 4);
    let client = client(&sandbox, RetryConfig::disabled());
    let request = ActorTokenRequest::create(create());
    client
        .send(request.retry(RetryConfig::default().max_attempts(5)))
        .await
        .unwrap();
    assert_eq!(sandbox.requests(), 5);

    limited(&sandbox, 1);
    assert_eq!(client.create(create()).await.unwrap_err().attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn revoke_succeeds_when_an_earlier_attempt_revoked_the_token() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox, RetryConfig::default());
    for lost in [Fault::DisconnectAfter, Fault::HangAfter, Fault::Truncate(3)] {
        let token = client.create(create()).await.unwrap();
        sandbox.inject(lost.clone());
        let revoked = client.revoke(token.id()).await;
        let revoked = revoked.unwrap_or_else(|error| panic!("{lost:?}: {error}"));
        assert_eq!(
            (revoked.id(), revoked.status()),
            (token.id(), &ActorTokenStatus::Revoked)
        );
    }
    let token = client.create(create()).await.unwrap();
    client.revoke(token.id()).await.unwrap();
    let error = client.revoke(token.id()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::AlreadyRevoked, Outcome::Rejected)
    );
}

#[tokio::test(start_paused = true)]
async fn retried_revoke_of_an_accepted_token_fails() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox, RetryConfig::default());
    let token = client.create(create()).await.unwrap();
    sandbox
        .accept(token.ticket().unwrap().expose_url().unwrap())
        .unwrap();
    sandbox.inject(Fault::DisconnectBefore);
    let error = client.revoke(token.id()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts()),
        (ErrorKind::AlreadyAccepted, 2)
    );
    assert!(error.to_string().contains("a session is live"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn revoke_after_502_with_an_already_revoked_body_has_unknown_outcome() {
    let body = r#"{"errors":[{"code":"actor_token_cannot_be_revoked_code","long_message":"Actor token cannot be revoked because its status is revoked."}]}"#;
    let transport = tower::service_fn(move |request: Request<Body>| async move {
        let _taken = request.into_body().into_bytes();
        let response = http::Response::builder()
            .status(502)
            .body(body.to_owned())?;
        Ok::<_, clerk_actor_tokens::BoxError>(response)
    });
    let key = clerk_actor_tokens::SecretKey::new("sk_test_1").unwrap();
    let client = ClientBuilder::over(key, transport).build().unwrap();
    let error = client.revoke(&unknown_id()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Api, Outcome::Unknown)
    );
}

#[tokio::test(start_paused = true)]
async fn rejected_attempt_does_not_hide_an_earlier_unknown_outcome() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox, RetryConfig::default().max_attempts(2));
    sandbox.inject(Fault::StatusAfter(StatusCode::BAD_GATEWAY));
    sandbox.inject(Fault::Status(StatusCode::TOO_MANY_REQUESTS));
    let error = client.revoke(&unknown_id()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2));
}

#[tokio::test(start_paused = true)]
async fn classifier_can_stop_and_request_retries() {
    let sandbox = Sandbox::new();
    let with = |overrule: fn(OperationKind, Verdict) -> Verdict| {
        ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
            .retry_classifier(move |_, kind, verdict| overrule(kind, verdict))
            .build()
            .unwrap()
    };
    limited(&sandbox, 1);
    let error = with(|_, _| Verdict::Stop)
        .create(create())
        .await
        .unwrap_err();
    assert_eq!(error.attempts(), 1);

    sandbox.inject(Fault::Status(StatusCode::CONFLICT));
    with(|_, _| Verdict::Retry).create(create()).await.unwrap();

    sandbox.inject(Fault::Status(StatusCode::BAD_GATEWAY));
    let as_it_is = with(|kind, verdict| {
        assert_eq!((kind, verdict), (OperationKind::Create, Verdict::Stop));
        verdict
    });
    assert_eq!(as_it_is.create(create()).await.unwrap_err().attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn create_with_unknown_outcome_is_retried_by_the_python_sdk_preset_only() {
    let sandbox = Sandbox::new();
    for retry in [RetryConfig::default(), RetryConfig::disabled()] {
        sandbox.inject(Fault::StatusAfter(StatusCode::BAD_GATEWAY));
        client(&sandbox, retry).create(create()).await.unwrap_err();
    }
    assert_eq!(sandbox.ledger().minted().len(), 2);

    // The preset's documented danger: one call mints three tokens.
    sandbox.inject(Fault::StatusAfter(StatusCode::BAD_GATEWAY));
    sandbox.inject(Fault::DisconnectAfter);
    client(&sandbox, RetryConfig::python_sdk())
        .create(create())
        .await
        .unwrap();
    assert_eq!(sandbox.ledger().minted().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn python_sdk_preset_makes_ten_attempts_with_backoff_whatever_retry_after_says() {
    for retry_after in ["0", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let requests = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&requests);
        let transport = tower::service_fn(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let _taken = request.into_body().into_bytes();
            let response = Response::builder().status(503);
            let response = response.header("retry-after", retry_after);
            std::future::ready(response.body(String::new()))
        });
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
            .retry(RetryConfig::python_sdk())
            .call_timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let begun = Instant::now();
        let error = client.create(create()).await.unwrap_err();
        assert_eq!((error.attempts(), error.retry_after()), (10, None));
        assert_eq!(requests.swap(0, Ordering::SeqCst), 10);
        client.revoke(&unknown_id()).await.unwrap_err();
        assert_eq!(requests.load(Ordering::SeqCst), 10);
        // Eighteen backoffs of up to 0.5 s to 12.8 s.
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn zero_try_again_in_of_a_layer_is_ignored() {
    for wait in [Duration::ZERO, Duration::from_millis(1)] {
        let sandbox = Sandbox::new();
        let refuse = move |_: Request<Body>| async move {
            let busy = Error::api(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::default());
            Err::<Response<String>, BoxError>(busy.with_retry_after(wait).into())
        };
        let retry = RetryConfig::default().initial_interval(Duration::from_secs(1000));
        let retry = retry.max_interval(Duration::from_secs(1000));
        let client = ClientBuilder::over(sandbox.secret_key(), tower::service_fn(refuse))
            .retry(retry)
            .call_timeout(Duration::MAX)
            .build()
            .unwrap();
        let begun = Instant::now();
        client.revoke(&unknown_id()).await.unwrap_err();
        let is_backoff = begun.elapsed() > Duration::from_secs(1);
        assert_eq!(is_backoff, wait.is_zero(), "{wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_max_elapsed() {
    let sandbox = Sandbox::new();
    limited(&sandbox, 9);
    let retry = RetryConfig::default()
        .max_attempts(9)
        .max_elapsed(Duration::from_millis(3500));
    let begun = Instant::now();
    let error = client(&sandbox, retry).create(create()).await.unwrap_err();
    assert_eq!((error.attempts(), error.outcome()), (4, Outcome::Rejected));
    assert_eq!(begun.elapsed().as_secs(), 3);
}

/// A transport that responds with a rate limit and after the first request is not ready for 20 s.
#[derive(Clone)]
struct Congested {
    begun: Arc<Mutex<Vec<Instant>>>,
    free: Arc<Mutex<Option<Pin<Box<Sleep>>>>>,
}

impl Service<Request<Body>> for Congested {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<String>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.begun.lock().unwrap().is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut free = self.free.lock().unwrap();
        let free = free.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(20))));
        free.as_mut().poll(cx).map(Ok)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let _sent = request.into_body().into_bytes();
        self.begun.lock().unwrap().push(Instant::now());
        let mut limited = Response::new(String::new());
        *limited.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        std::future::ready(Ok(limited))
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_past_the_deadline_is_a_call_timeout() {
    let transport = Congested {
        begun: Arc::default(),
        free: Arc::default(),
    };
    let attempted = Arc::clone(&transport.begun);
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .call_timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let begun = Instant::now();
    let error = client.create(create()).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.outcome(), Outcome::Rejected);
    assert_eq!((error.attempts(), attempted.lock().unwrap().len()), (1, 1));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

/// A provider may have another key, so the key of every 401 may be stale.
struct Provider;

impl KeyProvider for Provider {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        Ok(SecretKey::new("sk_test_1")?)
    }
}

#[tokio::test]
async fn classifier_decides_whether_a_stale_key_is_retried() {
    for (chosen, attempts) in [(None, 2), (Some(Verdict::Stop), 1)] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let transport = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, BoxError>(Response::builder().status(401).body(String::new())?)
        });
        let verdicts = Arc::clone(&seen);
        let client = ClientBuilder::over(KeySource::provider(Provider), transport)
            .retry_classifier(move |_, _, verdict| {
                verdicts.lock().unwrap().push(verdict);
                chosen.unwrap_or(verdict)
            })
            .build()
            .unwrap();
        let error = client.create(create()).await.unwrap_err();
        assert_eq!(error.attempts(), attempts, "{chosen:?}");
        let seen = seen.lock().unwrap();
        assert_eq!(
            seen[..],
            [Verdict::Retry, Verdict::Stop][..attempts as usize]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn max_attempts_includes_the_first_attempt() {
    for (config, attempts) in [
        (RetryConfig::disabled(), 1),
        (RetryConfig::default().max_attempts(2), 2),
    ] {
        let sandbox = Sandbox::new();
        limited(&sandbox, 5);
        let error = client(&sandbox, config).create(create()).await.unwrap_err();
        assert_eq!(error.attempts(), attempts);
    }
}
