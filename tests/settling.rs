//! Every credential that was minted is returned, revoked or reported.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken, Error,
    ErrorKind, OperationKind, Outcome, RetryConfig, Ticket,
    layer::{
        SettleLayer,
        settle::{SettleEnd, SettleEvent},
    },
    sandbox::{Fault, Sandbox, SandboxTransport},
};
use futures_util::{FutureExt, poll};
use http::{Request, StatusCode};
use tower::{Service, ServiceBuilder, ServiceExt, layer::layer_fn, util::MapRequestLayer};

/// Long enough for everything to settle; the clock is paused.
const AMPLE: Duration = Duration::from_secs(600);

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2")).expires_in(Duration::from_secs(1000))
}

/// An end, the id of the token, and until when it could be used.
type Report = (SettleEnd, Option<String>, Option<SystemTime>);

/// What was reported.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<Report>>>);

impl Reports {
    fn hook(&self) -> impl Fn(&SettleEvent) + Send + Sync + 'static {
        let reports = self.clone();
        move |event| {
            let id = event.actor_token_id().map(ToString::to_string);
            let report = (event.end(), id, event.exposed_until());
            reports.0.lock().unwrap().push(report);
        }
    }

    fn ends(&self) -> Vec<SettleEnd> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|report| report.0)
            .collect()
    }
}

struct Setting {
    sandbox: Sandbox,
    client: Client,
    reports: Reports,
}

fn setting() -> Setting {
    configured(|builder| builder)
}

type Builder = ClientBuilder<
    clerk_actor_tokens::client::Layers,
    clerk_actor_tokens::client::CustomTransport<SandboxTransport>,
>;

fn configured(configure: impl FnOnce(Builder) -> Builder) -> Setting {
    let (sandbox, reports) = (Sandbox::new(), Reports::default());
    let builder = ClientBuilder::over(sandbox.secret_key(), sandbox.transport());
    let client = configure(builder)
        .on_settle(reports.hook())
        .build()
        .unwrap();
    Setting {
        sandbox,
        client,
        reports,
    }
}

impl Setting {
    fn minted(&self) -> usize {
        self.sandbox.ledger().minted().len()
    }

    fn live(&self) -> usize {
        self.sandbox.ledger().pending().count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_create_is_revoked() {
    let it = setting();
    it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let mut call = Box::pin(it.client.create(create()));
    assert!(poll!(call.as_mut()).is_pending());
    drop(call);
    let report = it.client.drain(AMPLE).await;
    assert!(report.is_complete());
    assert_eq!((it.minted(), it.live()), (1, 0));
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_timed_out_is_revoked_when_it_lands() {
    for limit in ["attempt", "call"] {
        let it = setting();
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
        it.client.drain(AMPLE).await;
        assert_eq!((it.minted(), it.live()), (1, 0), "{limit}");
        assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_reported_with_the_time_that_a_token_could_live() {
    let it = setting();
    it.sandbox.inject(Fault::HangAfter);
    let error = it.client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    it.client.drain(AMPLE).await;
    let reports = it.reports.0.lock().unwrap().clone();
    let [(SettleEnd::Unknown, None, Some(until))] = reports[..] else {
        panic!("{reports:?}");
    };
    assert!(until > SystemTime::now() + Duration::from_secs(900));
    assert_eq!(it.client.settle_counts().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unread_ticket_is_revoked_when_its_last_clone_is_dropped() {
    let it = setting();
    let token = it.client.create(create()).await.unwrap();
    let ticket = token.ticket().cloned();
    drop(token);
    it.client.drain(AMPLE).await;
    assert_eq!(it.live(), 1);
    drop(ticket);
    it.client.drain(AMPLE).await;
    assert_eq!(it.live(), 0);
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_was_read_is_left_to_its_reader() {
    type Read = fn(&clerk_actor_tokens::ActorToken);
    let ways: [Read; 4] = [
        |token| drop(token.ticket().unwrap().expose_url().unwrap().to_owned()),
        |token| drop(token.ticket().unwrap().expose_token().unwrap().to_owned()),
        |token| drop(token.expose_json()),
        |token| token.ticket().unwrap().claim(),
    ];
    for read in ways {
        let it = setting();
        read(&it.client.create(create()).await.unwrap());
        it.client.drain(AMPLE).await;
        assert_eq!(it.live(), 1);
        assert!(it.reports.ends().is_empty());
        assert_eq!(it.sandbox.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_unread_is_left_alone() {
    let it = setting();
    let token = it.client.create(create()).await.unwrap();
    tokio::time::advance(Duration::from_secs(1001)).await;
    drop(token);
    it.client.drain(AMPLE).await;
    assert_eq!(it.sandbox.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_after_the_id_is_revoked() {
    let it = setting();
    it.sandbox.inject(Fault::Truncate(100));
    let error = it.client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Applied);
    let id = error.actor_token_id().unwrap().clone();
    it.client.drain(AMPLE).await;
    assert_eq!((it.minted(), it.live()), (1, 0));
    let reports = it.reports.0.lock().unwrap().clone();
    assert_eq!(reports, [(SettleEnd::Revoked, Some(id.to_string()), None)]);
}

#[tokio::test(start_paused = true)]
async fn a_revoke_whose_answer_breaks_off_after_the_id_has_revoked() {
    let it = setting();
    let token = it.client.create(create()).await.unwrap();
    it.sandbox.inject(Fault::Truncate(100));
    drop(token);
    it.client.drain(AMPLE).await;
    assert_eq!((it.minted(), it.live()), (1, 0));
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_user_is_reported_and_left_alone() {
    let it = setting();
    let body = Bytes::from_static(br#"{"id":"act_9","user_id":"user_9","token":"t"}"#);
    it.sandbox.inject(Fault::Body(body));
    let error = it.client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Applied);
    it.client.drain(AMPLE).await;
    let reports = it.reports.0.lock().unwrap().clone();
    assert!(matches!(&reports[..], [(SettleEnd::Foreign, Some(id), Some(_))] if id == "act_9"));
    assert_eq!(it.sandbox.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_compensating_revoke_is_patient_and_has_limits_of_its_own() {
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
    it.client.drain(AMPLE).await;
    assert_eq!(it.live(), 0);
    assert_eq!(it.sandbox.requests(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_revoked_is_reported_after_five_tries() {
    let it = setting();
    let token = it.client.create(create()).await.unwrap();
    for _ in 0..9 {
        it.sandbox
            .inject(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    }
    let id = token.id().to_string();
    drop(token);
    it.client.drain(AMPLE).await;
    assert_eq!(it.sandbox.requests(), 6);
    let reports = it.reports.0.lock().unwrap().clone();
    assert!(
        matches!(&reports[..], [(SettleEnd::NotRevoked, Some(it), Some(_))] if *it == id),
        "{reports:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_token_that_was_used_is_reported_as_accepted() {
    let it = setting();
    let token = it.client.create(create()).await.unwrap();
    let ticket = token.expose_json();
    let link: serde_json::Value = serde_json::from_slice(&ticket).unwrap();
    it.sandbox.accept(link["url"].as_str().unwrap()).unwrap();
    // The same token, leased: its drop finds it used.
    let lease = it.client.lease(create()).await.unwrap();
    let link = lease.ticket().and_then(Ticket::expose_url).unwrap();
    it.sandbox.accept(link).unwrap();
    drop(lease);
    it.client.drain(AMPLE).await;
    assert_eq!(it.reports.ends(), [SettleEnd::Accepted]);
}

#[tokio::test(start_paused = true)]
async fn too_many_creates_at_once_are_refused_before_anything_is_sent() {
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
async fn a_timed_out_create_is_tried_again_only_where_the_lost_one_is_settled_and_it_was_asked_for()
{
    for (asked, enabled, requests) in [(false, true, 1), (true, false, 1), (true, true, 2)] {
        let layer = if enabled {
            SettleLayer::new()
        } else {
            SettleLayer::disabled()
        };
        let it = configured(|builder| {
            builder
                .settle(layer)
                .attempt_timeout(Duration::from_secs(2))
                .retry(RetryConfig::default().retry_settled_timeouts(asked))
        });
        it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
        let result = it.client.create(create()).await;
        assert_eq!(it.sandbox.requests(), requests, "{asked} {enabled}");
        if let Ok(token) = &result {
            token.ticket().unwrap().claim();
        }
        assert_eq!(result.is_ok(), requests == 2);
        it.client.drain(AMPLE).await;
        // What was lost is revoked; what was returned lives.
        assert_eq!(it.live(), usize::from(result.is_ok()), "{asked} {enabled}");
    }
}

#[tokio::test(start_paused = true)]
async fn draining_ends_at_its_deadline_and_reports_the_rest() {
    let it = setting();
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
async fn draining_ends_as_soon_as_nothing_is_left() {
    let it = setting();
    it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let mut call = Box::pin(it.client.create(create()));
    assert!(poll!(call.as_mut()).is_pending());
    drop(call);
    for takes in [Duration::from_secs(5), Duration::ZERO] {
        let begun = tokio::time::Instant::now();
        assert!(it.client.drain(AMPLE).await.is_complete());
        assert_eq!(begun.elapsed(), takes);
    }
    assert_eq!(it.reports.ends(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn draining_without_time_still_reports() {
    let it = setting();
    it.sandbox.inject(Fault::HangAfter);
    let mut call = Box::pin(it.client.create(create()));
    assert!(poll!(call.as_mut()).is_pending());
    drop(call);
    let report = it.client.drain(Duration::ZERO).await;
    assert_eq!((report.cut_short(), report.counts().unknown), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn creates_that_callers_wait_for_are_drained_or_counted() {
    let it = setting();
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
fn a_runtime_that_ends_without_draining_leaves_reports() {
    let it = setting();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let held = runtime.block_on(async {
        it.sandbox.inject(Fault::HangAfter);
        let mut call = Box::pin(it.client.create(create()));
        assert!(poll!(call.as_mut()).is_pending());
        drop(call);
        it.client.create(create()).await.unwrap()
    });
    drop(runtime);
    assert_eq!(it.reports.ends(), [SettleEnd::Unknown]);
    // An unread ticket that outlives its runtime cannot be revoked any more.
    drop(held);
    assert_eq!(
        it.reports.ends(),
        [SettleEnd::Unknown, SettleEnd::NotRevoked]
    );
}

#[test]
fn a_client_outlives_its_first_runtime() {
    let it = setting();
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
    let it = setting();
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
async fn a_panic_in_the_hook_stops_nothing() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .on_settle(|_| panic!("the hook"))
        .build()
        .unwrap();
    for _ in 0..2 {
        client.create(create()).await.unwrap();
    }
    let report = client.drain(AMPLE).await;
    assert_eq!(report.counts().revoked, 2);
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_never_sent_needs_no_settling() {
    let reports = Reports::default();
    let never = tower::service_fn(|_: Request<Body>| {
        pending::<Result<http::Response<http_body_util::Full<Bytes>>, BoxError>>()
    });
    let key = clerk_actor_tokens::SecretKey::new("sk_test_1").unwrap();
    let client = ClientBuilder::over(key, never)
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
async fn a_layer_that_drops_the_answer_loses_no_token() {
    let it = setting();
    // The caller's own layer gives the token up after it was delivered.
    let mut giving_up = ServiceBuilder::new()
        .and_then(|_token| async {
            Err::<(), _>(Error::api(StatusCode::FORBIDDEN, Default::default()))
        })
        .service(it.client.clone());
    let request = ActorTokenRequest::create(create());
    giving_up
        .ready()
        .await
        .unwrap()
        .call(request)
        .await
        .unwrap_err();
    it.client.drain(AMPLE).await;
    assert_eq!((it.minted(), it.live()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_compensating_revoke_carries_what_the_create_carried() {
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
    client.drain(AMPLE).await;
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_never_gets_ready_is_told_within_its_minute() {
    /// Not ready any more once it is closed.
    #[derive(Clone)]
    struct Gate<S>(S, Arc<AtomicBool>);

    impl<S: Service<Request<Body>>> Service<Request<Body>> for Gate<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            if self.1.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            self.0.poll_ready(cx)
        }

        fn call(&mut self, request: Request<Body>) -> S::Future {
            self.0.call(request)
        }
    }

    let (sandbox, reports) = (Sandbox::new(), Reports::default());
    let closed = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&closed);
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .wire_layer(layer_fn(move |inner| Gate(inner, gate.clone())))
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
async fn a_hook_stays_where_the_layer_set_after_it_has_none() {
    let sandbox = Sandbox::new();
    for (own, heard) in [(false, [1, 0]), (true, [0, 1])] {
        let (earlier, later) = (Reports::default(), Reports::default());
        let mut layer = SettleLayer::new().grace(AMPLE);
        if own {
            layer = layer.on_settle(later.hook());
        }
        let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
            .on_settle(earlier.hook())
            .settle(layer)
            .build()
            .unwrap();
        drop(client.create(create()).await.unwrap());
        client.drain(AMPLE).await;
        assert_eq!([earlier, later].map(|it| it.ends().len()), heard);
    }
}
