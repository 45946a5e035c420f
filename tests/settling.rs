//! Every credential that was minted is returned, revoked or reported. Long, because a promise has one
//! file.

mod support {
    pub(crate) mod reports;
    pub(crate) mod settled;
}

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, ClientBuilder, CreateActorToken, Error, ErrorKind,
    OperationKind, Outcome, RetryConfig, Ticket,
    layer::{SettleLayer, settle::SettleEnd},
    sandbox::{Fault, Sandbox},
};
use futures_util::{FutureExt, poll};
use http::{Request, StatusCode};
use support::{
    reports::Reports,
    settled::{Fixture, LONG, configured},
};
use tower::{Service, ServiceBuilder, ServiceExt, layer::layer_fn, util::MapRequestLayer};

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2")).expires_in(Duration::from_secs(1000))
}

fn fixture() -> Fixture {
    configured(|builder| builder)
}

#[tokio::test(start_paused = true)]
async fn cancelled_create_is_revoked() {
    let it = fixture();
    it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let mut call = Box::pin(it.client.create(create()));
    assert!(poll!(call.as_mut()).is_pending());
    drop(call);
    let report = it.client.drain(LONG).await;
    assert!(report.is_complete());
    assert_eq!((it.minted(), it.live()), (1, 0));
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn timed_out_create_is_revoked_when_its_response_arrives() {
    for limit in ["attempt", "call"] {
        let it = fixture();
        it.sandbox.inject(Fault::Delay(Duration::from_secs(15)));
        let request = ActorTokenRequest::create(create());
        let request = match limit {
            "attempt" => request.attempt_timeout(Duration::from_secs(2)),
            _ => request.timeout(Duration::from_secs(2)),
        };
        let error = it.client.send(request).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Timeout, Outcome::Unknown)
        );
        assert!(error.is_settling(), "{limit}");
        let left = error
            .exposed_until()
            .unwrap()
            .duration_since(SystemTime::now())
            .unwrap();
        assert!(left > Duration::from_secs(900) && left <= Duration::from_secs(1000));
        it.client.drain(LONG).await;
        assert_eq!((it.minted(), it.live()), (1, 0), "{limit}");
        assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
    }
}

#[tokio::test(start_paused = true)]
async fn create_without_a_response_is_reported_with_the_end_of_its_exposure() {
    let it = fixture();
    it.sandbox.inject(Fault::HangAfter);
    let error = it.client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    it.client.drain(LONG).await;
    let reports = it.reports.all();
    let [(SettleEnd::Unknown, None, Some(until))] = reports[..] else {
        panic!("{reports:?}");
    };
    assert!(until > SystemTime::now() + Duration::from_secs(900));
    assert_eq!(it.client.settle_counts().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn unread_ticket_is_revoked_when_its_last_clone_is_dropped() {
    let it = fixture();
    let token = it.client.create(create()).await.unwrap();
    let ticket = token.ticket().cloned();
    drop(token);
    it.client.drain(LONG).await;
    assert_eq!(it.live(), 1);
    drop(ticket);
    it.client.drain(LONG).await;
    assert_eq!(it.live(), 0);
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn read_ticket_is_not_revoked() {
    type Read = fn(&clerk_actor_tokens::ActorToken);
    let ways: [Read; 4] = [
        |token| drop(token.ticket().unwrap().expose_url().unwrap().to_owned()),
        |token| drop(token.ticket().unwrap().expose_token().unwrap().to_owned()),
        |token| drop(token.expose_json()),
        |token| token.ticket().unwrap().claim(),
    ];
    for read in ways {
        let it = fixture();
        read(&it.client.create(create()).await.unwrap());
        it.client.drain(LONG).await;
        assert_eq!(it.live(), 1);
        assert!(it.reports.ends().is_empty());
        assert_eq!(it.sandbox.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn expired_unread_ticket_is_not_revoked() {
    let it = fixture();
    let token = it.client.create(create()).await.unwrap();
    tokio::time::advance(Duration::from_secs(1001)).await;
    drop(token);
    it.client.drain(LONG).await;
    assert_eq!(it.sandbox.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn token_of_a_truncated_response_is_revoked() {
    let it = fixture();
    it.sandbox.inject(Fault::Truncate(100));
    let error = it.client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Applied);
    let id = error.actor_token_id().unwrap().clone();
    it.client.drain(LONG).await;
    assert_eq!((it.minted(), it.live()), (1, 0));
    let reports = it.reports.all();
    assert_eq!(reports, [(SettleEnd::Revoked, Some(id.to_string()), None)]);
}

#[tokio::test(start_paused = true)]
async fn compensating_revoke_with_a_truncated_response_ends_as_revoked() {
    let it = fixture();
    let token = it.client.create(create()).await.unwrap();
    it.sandbox.inject(Fault::Truncate(100));
    drop(token);
    it.client.drain(LONG).await;
    assert_eq!((it.minted(), it.live()), (1, 0));
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn token_of_another_user_is_reported_and_not_revoked() {
    let it = fixture();
    let body = Bytes::from_static(br#"{"id":"act_9","user_id":"user_9","token":"t"}"#);
    it.sandbox.inject(Fault::Body(body));
    let error = it.client.create(create()).await.unwrap_err();
    // It may be the response to another create, so what this one minted is unknown.
    assert_eq!(error.outcome(), Outcome::Unknown);
    it.client.drain(LONG).await;
    let reports = it.reports.all();
    let [foreign, own] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert!(matches!(foreign, (SettleEnd::Foreign, Some(id), Some(_)) if id == "act_9"));
    assert!(matches!(own, (SettleEnd::Unknown, None, Some(_))));
    assert_eq!(it.sandbox.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn compensating_revoke_is_retried_although_retries_of_calls_are_disabled() {
    let it = configured(|builder| builder.retry(RetryConfig::disabled()));
    let token = it.client.create(create()).await.unwrap();
    for _ in 0..3 {
        it.sandbox
            .inject(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    }
    it.sandbox.inject(Fault::RateLimited {
        retry_after: Duration::from_secs(30),
    });
    drop(token);
    it.client.drain(LONG).await;
    assert_eq!(it.live(), 0);
    assert_eq!(it.sandbox.requests(), 6);
}

#[tokio::test(start_paused = true)]
async fn failed_compensating_revoke_is_reported_after_five_attempts() {
    let it = fixture();
    let token = it.client.create(create()).await.unwrap();
    for _ in 0..9 {
        it.sandbox
            .inject(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    }
    let id = token.id().to_string();
    drop(token);
    it.client.drain(LONG).await;
    assert_eq!(it.sandbox.requests(), 6);
    let reports = it.reports.all();
    assert!(
        matches!(&reports[..], [(SettleEnd::NotRevoked, Some(it), Some(_))] if *it == id),
        "{reports:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn lost_token_that_was_accepted_is_reported_as_accepted() {
    let it = fixture();
    let token = it.client.create(create()).await.unwrap();
    let ticket = token.expose_json();
    let link: serde_json::Value = serde_json::from_slice(&ticket).unwrap();
    it.sandbox.accept(link["url"].as_str().unwrap()).unwrap();
    // A lease whose token was accepted.
    let lease = it.client.lease(create()).await.unwrap();
    let link = lease.ticket().and_then(Ticket::expose_url).unwrap();
    it.sandbox.accept(link).unwrap();
    drop(lease);
    it.client.drain(LONG).await;
    assert_eq!(it.reports.ends(), [SettleEnd::Accepted]);
}

#[tokio::test(start_paused = true)]
async fn create_beyond_max_creates_is_refused_and_not_sent() {
    let it = configured(|builder| builder.settle(SettleLayer::new().max_creates(2)));
    for _ in 0..2 {
        it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    }
    let calls: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn({
                let client = it.client.clone();
                async move { client.create(create()).await }
            })
        })
        .collect();
    tokio::time::advance(Duration::from_secs(1)).await;
    let error = it.client.create(create()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Overloaded, Outcome::NotSent)
    );
    assert_eq!(error.attempts(), 1);
    assert_eq!(
        error.to_string(),
        "too many creates at once: 2 creates are in flight; nothing was sent"
    );
    // Revokes are not limited.
    let unknown = it.client.revoke("act_1").await.unwrap_err();
    assert_eq!(unknown.status(), Some(StatusCode::NOT_FOUND));
    for call in calls {
        let token = call.await.unwrap().unwrap();
        token.ticket().unwrap().claim();
    }
    it.client.create(create()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn timed_out_create_is_retried_only_if_settling_and_the_option_are_enabled() {
    for (option, enabled, requests) in [(false, true, 1), (true, false, 1), (true, true, 2)] {
        let layer = if enabled {
            SettleLayer::new()
        } else {
            SettleLayer::disabled()
        };
        let it = configured(|builder| {
            builder
                .settle(layer)
                .attempt_timeout(Duration::from_secs(2))
                .retry(RetryConfig::default().retry_settled_timeouts(option))
        });
        it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
        let result = it.client.create(create()).await;
        assert_eq!(it.sandbox.requests(), requests, "{option} {enabled}");
        if let Ok(token) = &result {
            token.ticket().unwrap().claim();
        }
        assert_eq!(result.is_ok(), requests == 2);
        it.client.drain(LONG).await;
        // The lost token is revoked, and the returned one is live.
        assert_eq!(it.live(), usize::from(result.is_ok()), "{option} {enabled}");
    }
}

#[tokio::test(start_paused = true)]
async fn drain_ends_at_its_deadline_and_reports_the_rest() {
    let it = fixture();
    for _ in 0..100 {
        it.sandbox.inject(Fault::HangAfter);
        let mut call = Box::pin(it.client.create(create()));
        assert!(poll!(call.as_mut()).is_pending());
    }
    let begun = tokio::time::Instant::now();
    let report = it.client.drain(Duration::from_secs(3)).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert_eq!((report.cut_short(), report.in_flight()), (100, 0));
    assert_eq!(it.reports.ends(), [SettleEnd::Unknown; 100]);
    assert_eq!(report.counts().unknown, 100);
}

#[tokio::test(start_paused = true)]
async fn drain_ends_as_soon_as_nothing_is_in_flight() {
    let it = fixture();
    it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let mut call = Box::pin(it.client.create(create()));
    assert!(poll!(call.as_mut()).is_pending());
    drop(call);
    for expected in [Duration::from_secs(5), Duration::ZERO] {
        let begun = tokio::time::Instant::now();
        assert!(it.client.drain(LONG).await.is_complete());
        assert_eq!(begun.elapsed(), expected);
    }
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn drain_with_zero_time_reports_the_rest() {
    let it = fixture();
    it.sandbox.inject(Fault::HangAfter);
    let mut call = Box::pin(it.client.create(create()));
    assert!(poll!(call.as_mut()).is_pending());
    drop(call);
    let report = it.client.drain(Duration::ZERO).await;
    assert_eq!((report.cut_short(), report.counts().unknown), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_creates_with_a_caller_or_counts_them() {
    let it = fixture();
    it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let client = it.client.clone();
    let call = tokio::spawn(async move { client.create(create()).await });
    tokio::task::yield_now().await;
    let report = it.client.drain(Duration::from_secs(1)).await;
    assert_eq!((report.in_flight(), report.cut_short()), (1, 0));
    let report = it.client.drain(Duration::from_secs(9)).await;
    assert!(report.is_complete());
    call.await.unwrap().unwrap().ticket().unwrap().claim();
}

#[test]
fn runtime_that_ends_without_a_drain_reports_lost_creates() {
    let it = fixture();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let token = runtime.block_on(async {
        it.sandbox.inject(Fault::HangAfter);
        let mut call = Box::pin(it.client.create(create()));
        assert!(poll!(call.as_mut()).is_pending());
        drop(call);
        it.client.create(create()).await.unwrap()
    });
    drop(runtime);
    assert_eq!(it.reports.ends(), [SettleEnd::Unknown]);
    // An unread ticket cannot be revoked after its runtime has ended.
    drop(token);
    assert_eq!(
        it.reports.ends(),
        [SettleEnd::Unknown, SettleEnd::NotRevoked]
    );
}

#[test]
fn client_works_in_a_second_runtime() {
    let it = fixture();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let token = runtime.block_on(it.client.create(create())).unwrap();
        token.ticket().unwrap().claim();
    }
    assert_eq!(it.minted(), 2);
}

#[test]
fn call_outside_of_a_runtime_is_an_error() {
    let it = fixture();
    let outside = it
        .client
        .create(create())
        .now_or_never()
        .unwrap()
        .unwrap_err();
    assert_eq!(
        (outside.kind(), outside.outcome()),
        (ErrorKind::Runtime, Outcome::NotSent)
    );
    assert_eq!(it.minted(), 0);
    assert!(it.reports.ends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn panic_in_the_hook_does_not_stop_settling() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .on_settle(|_| panic!("the hook"))
        .build()
        .unwrap();
    for _ in 0..2 {
        client.create(create()).await.unwrap();
    }
    let report = client.drain(LONG).await;
    assert_eq!(report.counts().revoked, 2);
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn unsent_create_is_not_settled() {
    let reports = Reports::default();
    let silent = tower::service_fn(|_: Request<Body>| {
        pending::<Result<http::Response<http_body_util::Full<Bytes>>, BoxError>>()
    });
    let key = clerk_actor_tokens::SecretKey::new("sk_test_1").unwrap();
    let client = ClientBuilder::over(key, silent)
        .on_settle(reports.hook())
        .build()
        .unwrap();
    let mut call = Box::pin(client.create(create()));
    assert!(poll!(call.as_mut()).is_pending());
    drop(call);
    assert!(client.drain(Duration::ZERO).await.is_complete());
    assert!(reports.ends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn token_that_a_layer_drops_is_revoked() {
    let it = fixture();
    // A layer above the client drops the token.
    let mut dropping = ServiceBuilder::new()
        .and_then(|_token| async {
            Err::<(), _>(Error::api(StatusCode::FORBIDDEN, Default::default()))
        })
        .service(it.client.clone());
    let request = ActorTokenRequest::create(create());
    let ready = dropping.ready().await.unwrap();
    ready.call(request).await.unwrap_err();
    it.client.drain(LONG).await;
    assert_eq!((it.minted(), it.live()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn compensating_revoke_carries_the_headers_and_extensions_of_the_create() {
    #[derive(Clone)]
    struct Operator;
    let sandbox = Sandbox::new();
    let seen = Arc::new(AtomicU32::new(0));
    let counting = seen.clone();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .wire_layer(MapRequestLayer::new(move |request: Request<Body>| {
            if request.body().kind() == OperationKind::Revoke {
                assert_eq!(request.headers()["x-tenant"], "t-1");
                assert!(request.extensions().get::<Operator>().is_some());
                counting.fetch_add(1, Ordering::Relaxed);
            }
            request
        }))
        .build()
        .unwrap();
    let mut request = ActorTokenRequest::create(create()).header(
        http::HeaderName::from_static("x-tenant"),
        http::HeaderValue::from_static("t-1"),
    );
    request.extensions_mut().insert(Operator);
    client.send(request).await.unwrap();
    client.drain(LONG).await;
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn compensating_revoke_that_is_never_ready_is_reported_within_a_minute() {
    /// Is not ready while `closed` is set.
    #[derive(Clone)]
    struct Gate<S> {
        inner: S,
        closed: Arc<AtomicBool>,
    }

    impl<S: Service<Request<Body>>> Service<Request<Body>> for Gate<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            if self.closed.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            self.inner.poll_ready(cx)
        }

        fn call(&mut self, request: Request<Body>) -> S::Future {
            self.inner.call(request)
        }
    }

    let (sandbox, reports) = (Sandbox::new(), Reports::default());
    let closed = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&closed);
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .wire_layer(layer_fn(move |inner| Gate {
            inner,
            closed: Arc::clone(&gate),
        }))
        .on_settle(reports.hook())
        .build()
        .unwrap();
    let token = client.create(create()).await.unwrap();
    closed.store(true, Ordering::Relaxed);
    drop(token);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(reports.ends(), [SettleEnd::NotRevoked]);
}

#[tokio::test(start_paused = true)]
async fn hook_is_kept_by_a_later_settle_layer_without_a_hook() {
    let sandbox = Sandbox::new();
    for (has_hook, counts) in [(false, [1, 0]), (true, [0, 1])] {
        let (earlier, later) = (Reports::default(), Reports::default());
        let mut layer = SettleLayer::new().grace(LONG);
        if has_hook {
            layer = layer.on_settle(later.hook());
        }
        let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
            .on_settle(earlier.hook())
            .settle(layer)
            .build()
            .unwrap();
        drop(client.create(create()).await.unwrap());
        client.drain(LONG).await;
        assert_eq!([earlier, later].map(|it| it.ends().len()), counts);
    }
}
