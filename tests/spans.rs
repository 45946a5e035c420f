//! Every call and every attempt has a span, which records its result and no secret. Long, because a
//! promise has one file.

mod support {
    pub(crate) mod capture;
    pub(crate) mod response;
    pub(crate) mod scripted;
}

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, BaseUrl, Body, BoxError, Client,
    ClientBuilder, CreateActorToken, Error, Payload, SecretKey,
    client::{CustomTransport, Layers, Transport},
    layer::{SettleLayer, TraceCallLayer, TraceLayer},
};
use futures_util::{FutureExt, poll};
use http::{HeaderName, HeaderValue, Request, Response};
use support::{
    capture::{Capture, Recorded},
    response::{FullResponse, response},
    scripted::Scripted,
};
use tower::{service_fn, util::MapRequestLayer};
use tracing::{Instrument, Level, Span};

const MINTED: &str = r#"{"id":"act_1","user_id":"user_marker","actor":{"sub":"user_marker"},"status":"pending","token":"marker","url":"https://x/?ticket=marker"}"#;
const REVOKED: &str = r#"{"id":"act_1","user_id":"user_marker","status":"revoked"}"#;
const S: Duration = Duration::from_secs(1);

fn over<T: Transport>(transport: T) -> ClientBuilder<Layers, CustomTransport<T>> {
    ClientBuilder::over(SecretKey::new("sk_test_marker").unwrap(), transport)
}

fn scripted<const N: usize>(responses: [FullResponse; N]) -> Client {
    over(Scripted::new(responses)).build().unwrap()
}

fn silent() -> Client {
    let transport = service_fn(|request: Request<Body>| async move {
        let _taken = request.into_body().into_bytes();
        pending::<Result<FullResponse, BoxError>>().await
    });
    let client = over(transport).settle(SettleLayer::disabled());
    client.build().unwrap()
}

fn create() -> ActorTokenRequest {
    let actor = Actor::new("user_marker").claim("reason", "marker");
    ActorTokenRequest::create(CreateActorToken::new("user_marker", actor)).header(
        HeaderName::from_static("x-secret"),
        HeaderValue::from_static("marker"),
    )
}

/// Claims a minted token, so that nothing is left to settle.
#[track_caller]
fn claim(token: Result<ActorToken, Error>) {
    if let Some(ticket) = token.unwrap().ticket() {
        ticket.claim();
    }
}

fn id() -> ActorTokenId {
    "act_1".parse().unwrap()
}

/// Checks that every span is closed, has our target and holds no secret.
fn checked(capture: &Capture) -> (Recorded, Vec<Recorded>) {
    for span in capture.spans() {
        assert!(span.closed, "{span:#?}");
        assert_eq!(span.target, "clerk_actor_tokens");
    }
    let shown = format!("{:?} {:?}", capture.spans(), capture.events());
    assert!(!shown.contains("marker"), "{shown}");
    let mut calls = capture.named("call");
    assert_eq!(calls.len(), 1);
    let attempts = capture.named("attempt");
    assert!(attempts.iter().all(|it| it.parent == Some(0)));
    (calls.remove(0), attempts)
}

#[track_caller]
fn assert_fields<const N: usize>(span: &Recorded, fields: [(&str, &str); N]) {
    let recorded: Vec<_> = span.fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    assert_eq!(recorded, fields);
}

#[tokio::test]
async fn successful_call_has_a_span_with_a_child_for_its_attempt() {
    let (capture, _guard) = Capture::begin();
    let headers = [("clerk-trace-id", "trace_1")];
    let client = scripted([response(200, &headers, MINTED)]);
    claim(client.send(create()).await);

    let (call, attempts) = checked(&capture);
    assert_eq!((call.parent, call.level), (None, Level::INFO));
    assert_fields(
        &call,
        [
            ("otel.name", "actor_tokens.create"),
            ("otel.kind", "internal"),
            ("clerk.operation", "create"),
            ("clerk.attempts", "1"),
            ("clerk.outcome", "ok"),
            ("actor_token.id", "act_1"),
        ],
    );
    assert_eq!((attempts.len(), attempts[0].level), (1, Level::INFO));
    assert_fields(
        &attempts[0],
        [
            ("otel.name", "POST /actor_tokens"),
            ("otel.kind", "client"),
            ("http.request.method", "POST"),
            ("url.template", "/actor_tokens"),
            ("server.address", "api.clerk.com"),
            ("server.port", "443"),
            ("http.response.status_code", "200"),
            ("clerk.outcome", "ok"),
            ("clerk.trace_id", "trace_1"),
        ],
    );
    assert!(capture.events().is_empty(), "{:?}", capture.events());
}

#[tokio::test]
async fn trace_id_in_a_span_is_cleaned() {
    for (status, body) in [(200, MINTED), (422, "")] {
        let (capture, _guard) = Capture::begin();
        let headers = [("clerk-trace-id", "a sk_test_marker")];
        let client = scripted([response(status, &headers, body)]);
        if let Ok(token) = client.send(create()).await {
            claim(Ok(token));
        }
        let (_, attempts) = checked(&capture);
        assert_eq!(attempts[0].field("clerk.trace_id"), "a sk_[redacted]");
    }
}

#[tokio::test]
async fn revoke_span_has_the_template_as_its_name_and_the_id() {
    let (capture, _guard) = Capture::begin();
    let client = scripted([response(200, &[], REVOKED)]);
    client.revoke(&id()).await.unwrap();

    let (call, attempts) = checked(&capture);
    assert_eq!(call.field("otel.name"), "actor_tokens.revoke");
    let [attempt] = attempts.as_slice() else {
        panic!("{attempts:?}");
    };
    let template = "/actor_tokens/{actor_token_id}/revoke";
    assert_eq!(attempt.field("otel.name"), format!("POST {template}"));
    assert_eq!(attempt.field("url.template"), template);
    assert_eq!(attempt.field("actor_token.id"), "act_1");
    assert_eq!(call.field("actor_token.id"), "act_1");
}

#[tokio::test]
async fn failed_revoke_records_its_id_once() {
    for refused in [
        response(404, &[], ""),
        response(200, &[], r#"{"id":"act_1","sta"#),
    ] {
        let (capture, _guard) = Capture::begin();
        scripted([refused]).revoke(&id()).await.unwrap_err();

        let (call, attempts) = checked(&capture);
        for span in [&call, &attempts[0]] {
            assert_eq!(span.field("actor_token.id"), "act_1");
        }
    }
}

#[tokio::test]
async fn create_with_an_unreadable_response_records_the_id_once() {
    for broken in [
        r#"{"id":"act_1","user_id":"user_marker","sta"#,
        r#"{"id":"act_1","user_id":"user_other","status":"pending"}"#,
    ] {
        let (capture, _guard) = Capture::begin();
        let client = scripted([response(200, &[], broken), response(200, &[], REVOKED)]);
        client.send(create()).await.unwrap_err();
        client.drain(S).await;

        let mut spans = capture.named("call");
        spans.extend(capture.named("attempt"));
        let ids = spans.iter().map(|span| span.field("actor_token.id"));
        assert!(
            ids.into_iter().all(|id| ["", "act_1"].contains(&id)),
            "{spans:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn retried_rate_limit_is_two_attempts_and_one_warning() {
    let (capture, _guard) = Capture::begin();
    let limited = r#"{"errors":[{"code":"too_many_requests"}],"clerk_trace_id":"trace_1"}"#;
    let client = scripted([
        response(429, &[("retry-after", "2")], limited),
        response(200, &[], MINTED),
    ]);
    claim(client.send(create()).await);

    let (call, attempts) = checked(&capture);
    assert_eq!(call.field("clerk.attempts"), "2");
    assert_eq!(call.field("otel.status_code"), "");
    let [first, second] = attempts.as_slice() else {
        panic!("{attempts:?}");
    };
    for (field, value) in [
        ("otel.status_code", "ERROR"),
        ("error.type", "429"),
        ("http.response.status_code", "429"),
        ("http.request.resend_count", ""),
        ("clerk.error.code", "too_many_requests"),
        ("clerk.trace_id", "trace_1"),
        ("clerk.outcome", "rejected"),
    ] {
        assert_eq!(first.field(field), value, "{field}");
    }
    assert_eq!(second.field("http.request.resend_count"), "1");
    assert_eq!(second.field("clerk.outcome"), "ok");

    let events = capture.events();
    assert_eq!((events.len(), events[0].parent), (1, Some(0)));
    assert_eq!(events[0].level, Level::WARN);
    assert_fields(
        &events[0],
        [
            ("message", "rate limited, retrying after backoff"),
            ("clerk.operation", "create"),
            ("attempt", "1"),
            ("pause_ms", "2000"),
            ("error.type", "429"),
            ("clerk.error.code", "too_many_requests"),
            ("clerk.trace_id", "trace_1"),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn retry_is_one_info_event() {
    let (capture, _guard) = Capture::begin();
    let client = scripted([response(503, &[], ""), response(200, &[], REVOKED)]);
    client.revoke(&id()).await.unwrap();

    checked(&capture);
    let events = capture.events();
    assert_eq!((events.len(), events[0].level), (1, Level::INFO));
    assert_eq!(events[0].field("error.type"), "503");
    assert_eq!(events[0].field("attempt"), "1");
    assert!(events[0].field("pause_ms").parse::<u64>().unwrap() <= 100);
}

#[tokio::test(start_paused = true)]
async fn rate_limit_that_is_not_retried_is_a_warning() {
    let (capture, _guard) = Capture::begin();
    let client = scripted([response(429, &[("retry-after", "60")], "")]);
    client.send(create()).await.unwrap_err();

    let events = capture.events();
    assert_eq!((events.len(), events[0].level), (1, Level::WARN));
    assert_eq!(events[0].field("message"), "rate limited, not retried");
    assert_eq!(events[0].field("retry_after_ms"), "60000");
}

#[tokio::test]
async fn refused_call_records_code_and_trace_id() {
    let (capture, _guard) = Capture::begin();
    let refused = r#"{"errors":[{"code":"form_param_invalid","long_message":"user_marker"}],"clerk_trace_id":"trace_1"}"#;
    scripted([response(422, &[], refused)])
        .send(create())
        .await
        .unwrap_err();

    let (call, attempts) = checked(&capture);
    for span in [&call, &attempts[0]] {
        assert_eq!(span.field("otel.status_code"), "ERROR");
        assert_eq!(span.field("error.type"), "422");
        assert_eq!(span.field("http.response.status_code"), "422");
        assert_eq!(span.field("clerk.error.code"), "form_param_invalid");
        assert_eq!(span.field("clerk.trace_id"), "trace_1");
        assert_eq!(span.field("clerk.outcome"), "rejected");
    }
    assert!(capture.events().is_empty(), "the caller gets the error");
}

#[tokio::test(start_paused = true)]
async fn attempt_that_hangs_in_the_response_body_times_out() {
    let (capture, _guard) = Capture::begin();
    let transport = service_fn(|request: Request<Body>| async move {
        let _taken = request.into_body().into_bytes();
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, BoxError>>();
        Ok::<_, BoxError>(Response::new(http_body_util::StreamBody::new(frames)))
    });
    let client = over(transport).settle(SettleLayer::disabled());
    client.build().unwrap().send(create()).await.unwrap_err();

    let (call, attempts) = checked(&capture);
    for span in [&call, &attempts[0]] {
        assert_eq!(span.field("error.type"), "timeout");
        assert_eq!(span.field("clerk.outcome"), "unknown");
    }
}

#[tokio::test(start_paused = true)]
async fn settled_token_has_a_span_with_the_revoke_as_its_child() {
    let (capture, _guard) = Capture::begin();
    let client = scripted([response(200, &[], MINTED), response(200, &[], REVOKED)]);
    drop(client.send(create()).await.unwrap());
    client.drain(60 * S).await;

    let settle = &capture.named("settle")[0];
    assert_eq!((settle.parent, settle.closed), (None, true));
    assert_fields(
        settle,
        [
            ("otel.name", "actor_tokens.settle"),
            ("otel.kind", "internal"),
            ("actor_token.id", "act_1"),
            ("clerk.settle.end", "revoked"),
        ],
    );
    let revoke = &capture.named("attempt")[1];
    assert_eq!(
        revoke.field("url.template"),
        "/actor_tokens/{actor_token_id}/revoke"
    );
    assert_eq!(capture.spans()[revoke.parent.unwrap()].name, "settle");
    let events = capture.events();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].level, events[0].field("actor_token.id")),
        (Level::INFO, "act_1")
    );
    assert!(!format!("{:?} {events:?}", capture.spans()).contains("marker"));
}

#[tokio::test(start_paused = true)]
async fn call_at_its_deadline_ends_its_attempt_with_a_timeout() {
    let (capture, _guard) = Capture::begin();
    silent().send(create().timeout(S)).await.unwrap_err();

    let (call, attempts) = checked(&capture);
    assert_eq!(attempts.len(), 1);
    for span in [&call, &attempts[0]] {
        assert_eq!(span.field("error.type"), "timeout");
        assert_eq!(span.field("otel.status_code"), "ERROR");
    }
    assert_eq!(call.field("clerk.outcome"), "unknown");
}

#[tokio::test]
async fn cancelled_call_closes_its_spans() {
    let (capture, _guard) = Capture::begin();
    let client = silent();
    let mut call = Box::pin(client.send(create()));
    assert!(poll!(&mut call).is_pending());
    assert!(capture.spans().iter().all(|span| !span.closed));
    drop(call);

    let (call, attempts) = checked(&capture);
    assert_eq!(attempts.len(), 1);
    for span in [&call, &attempts[0]] {
        assert_eq!(span.field("error.type"), "cancelled");
        assert_eq!(span.field("otel.status_code"), "ERROR");
    }
    assert_eq!(call.field("clerk.outcome"), "unknown");
    assert_eq!(call.field("clerk.attempts"), "1");
}

#[tokio::test]
async fn panicking_call_closes_its_spans() {
    let (capture, _guard) = Capture::begin();
    let client = over(service_fn(|_: Request<Body>| async {
        assert!(std::hint::black_box(false), "panic in the transport");
        Ok::<_, BoxError>(response(200, &[], REVOKED))
    }))
    .build()
    .unwrap();
    let call = AssertUnwindSafe(|| client.revoke(&id()).now_or_never());
    catch_unwind(call).unwrap_err();

    let (call, attempts) = checked(&capture);
    for span in [&call, &attempts[0]] {
        assert_eq!(span.field("error.type"), "panic");
    }
}

#[tokio::test]
async fn refused_call_has_no_attempt() {
    let (capture, _guard) = Capture::begin();
    let invalid = CreateActorToken::new("", Actor::new("user_marker"));
    scripted([]).create(invalid).await.unwrap_err();

    let (call, attempts) = checked(&capture);
    assert!(attempts.is_empty());
    assert_eq!(call.field("error.type"), "invalid_request");
    assert_eq!(call.field("clerk.outcome"), "not_sent");
    assert_eq!(call.field("clerk.attempts"), "0");
}

#[tokio::test]
async fn server_is_recorded_only_if_the_client_knows_it() {
    let (capture, _guard) = Capture::begin();
    let allowed: BaseUrl = "http://[::1]:8080/v1".parse().unwrap();
    let client = over(Scripted::new([response(200, &[], REVOKED)]))
        .allow_base_url(allowed.clone())
        .build()
        .unwrap();
    let revoke = || ActorTokenRequest::revoke(id());
    client.send(revoke().base_url(allowed)).await.unwrap();
    let elsewhere = "https://elsewhere.example";
    client.send(revoke().base_url(elsewhere)).await.unwrap_err();

    let attempts = capture.named("attempt");
    assert_eq!(attempts[0].field("server.address"), "::1");
    assert_eq!(attempts[0].field("server.port"), "8080");
    assert_eq!(attempts[1].field("server.address"), "");
    assert_eq!(attempts[1].field("error.type"), "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn layers_of_users_run_inside_the_span_of_their_level() {
    let (capture, _guard) = Capture::begin();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |seen: &Arc<Mutex<Vec<_>>>| {
        let name = Span::current().metadata().map(tracing::Metadata::name);
        seen.lock().unwrap().push(name);
    };
    let [at_observers, at_call, at_attempt, at_wire] = [(); 4].map(|()| Arc::clone(&seen));
    let client = over(Scripted::new([
        response(429, &[], ""),
        response(200, &[], MINTED),
    ]))
    .observe_layer(MapRequestLayer::new(move |request: ActorTokenRequest| {
        note(&at_observers);
        request
    }))
    .call_layer(MapRequestLayer::new(move |request: ActorTokenRequest| {
        note(&at_call);
        request
    }))
    .attempt_layer(MapRequestLayer::new(move |request: Request<Payload>| {
        note(&at_attempt);
        request
    }))
    .wire_layer(MapRequestLayer::new(move |request: Request<Body>| {
        note(&at_wire);
        request
    }))
    .build()
    .unwrap();
    claim(client.send(create()).await);
    checked(&capture);
    let seen = seen.lock().unwrap();
    let names: Vec<_> = seen.iter().map(|name| name.unwrap_or("none")).collect();
    // An attempt layer is above the span of its attempts.
    let attempt = ["call", "attempt"];
    assert_eq!(names, [["call", "call"], attempt, attempt].concat());
}

/// Records the current span when it is dropped.
struct SpanOnDrop(Arc<Mutex<Vec<&'static str>>>);

impl Drop for SpanOnDrop {
    fn drop(&mut self) {
        let name = Span::current().metadata().map(tracing::Metadata::name);
        self.0.lock().unwrap().push(name.unwrap_or("none"));
    }
}

#[tokio::test(start_paused = true)]
async fn attempt_is_dropped_inside_its_span() {
    let (capture, _guard) = Capture::begin();
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let transport = service_fn({
        let recorded = Arc::clone(&recorded);
        move |request: Request<Body>| {
            let recorder = SpanOnDrop(Arc::clone(&recorded));
            let _taken = request.into_body().into_bytes();
            async move {
                let _recorder = recorder;
                pending::<Result<FullResponse, BoxError>>().await
            }
        }
    });
    // Without settling, a dropped attempt is not moved to the background.
    let client = over(transport).settle(SettleLayer::disabled());
    let client = client.build().unwrap();
    // Dropped by the timeout of the attempt, by that of the call, and by the caller.
    client.send(create()).await.unwrap_err();
    client.send(create().timeout(S)).await.unwrap_err();
    let mut call = Box::pin(client.send(create()));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(*recorded.lock().unwrap(), ["attempt"; 3]);
    assert!(capture.spans().iter().all(|span| span.closed));
}

#[tokio::test(start_paused = true)]
async fn spans_of_concurrent_calls_keep_their_parents() {
    let (capture, _guard) = Capture::begin();
    let transport = service_fn(|request: Request<Body>| async move {
        let attempt = request.body().attempt();
        let _taken = request.into_body().into_bytes();
        tokio::time::sleep(S).await;
        let status = if attempt == 1 { 503 } else { 200 };
        Ok::<_, BoxError>(response(status, &[], REVOKED))
    });
    let client = over(transport).build().unwrap();
    let id = id();
    let caller = tracing::info_span!(target: "app", "caller");
    let both = async { tokio::join!(client.revoke(&id), client.revoke(&id)) };
    let (one, two) = both.instrument(caller).await;
    assert!(one.is_ok() && two.is_ok());

    let spans = capture.spans();
    let children = |parent: usize| {
        let of = |span: &&Recorded| span.parent == Some(parent);
        let names = spans.iter().filter(of).map(|span| span.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(children(0), ["call", "call"]);
    for (index, _) in spans.iter().enumerate().filter(|(_, it)| it.name == "call") {
        assert_eq!(children(index), ["attempt", "attempt"]);
    }
}

#[tokio::test(start_paused = true)]
async fn propagator_gives_every_attempt_its_own_traceparent() {
    let (_capture, _guard) = Capture::begin();
    /// Returns a W3C `traceparent` header for the current span.
    fn traceparent() -> HeaderValue {
        let span = Span::current().id().expect("inside the attempt's span");
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let value = format!("00-{trace}-{:016x}-01", span.into_u64());
        HeaderValue::try_from(value).unwrap()
    }
    let transport = Scripted::new([response(429, &[], ""), response(200, &[], MINTED)]);
    let client = over(transport.clone())
        .wire_layer(MapRequestLayer::new(|mut request: Request<Body>| {
            request.headers_mut().insert("traceparent", traceparent());
            request
        }))
        .build()
        .unwrap();
    claim(client.send(create()).await);

    let sent = transport.sent();
    let [first, second] = [&sent[0], &sent[1]].map(|it| &it.headers()["traceparent"]);
    assert_ne!(first, second, "each attempt has its own span");
}

#[tokio::test]
async fn levels_can_be_set_and_spans_disabled() {
    let (capture, _guard) = Capture::begin();
    let client = over(Scripted::new([response(200, &[], MINTED)]))
        .trace_call(TraceCallLayer::new().level(Level::DEBUG))
        .trace(TraceLayer::new().level(Level::TRACE))
        .build()
        .unwrap();
    claim(client.send(create()).await);
    let levels: Vec<_> = capture.spans().iter().map(|span| span.level).collect();
    assert_eq!(levels, [Level::DEBUG, Level::TRACE]);

    let (capture, _guard) = Capture::begin();
    let client = over(Scripted::new([response(200, &[], MINTED)]))
        .trace_call(TraceCallLayer::disabled())
        .trace(TraceLayer::disabled())
        .build()
        .unwrap();
    claim(client.send(create()).await);
    assert!(capture.spans().is_empty());
}

#[tokio::test]
async fn custom_span_has_the_fields_that_it_declares() {
    #[derive(Clone)]
    struct RequestId(&'static str);

    let (capture, _guard) = Capture::begin();
    let own = TraceLayer::new().make_span(|context| {
        assert!(!format!("{context:?}").contains("marker"), "{context:?}");
        tracing::debug_span!(
            "mine",
            name = context.span_name(),
            server = context.server_address(),
            request_id = context.extensions().get().map(|RequestId(id)| id),
            "error.type" = tracing::field::Empty,
        )
    });
    let client = over(Scripted::new([response(422, &[], "")]))
        .trace(own)
        .build()
        .unwrap();
    let mut request = create();
    request.extensions_mut().insert(RequestId("r1"));
    client.send(request).await.unwrap_err();
    assert_fields(
        &capture.named("mine")[0],
        [
            ("name", "POST /actor_tokens"),
            ("server", "api.clerk.com"),
            ("request_id", "r1"),
            ("error.type", "422"),
        ],
    );
}

#[tokio::test]
async fn trace_layer_of_tower_http_can_replace_ours() {
    let (capture, _guard) = Capture::begin();
    let http_trace = tower_http::trace::TraceLayer::new_for_http()
        .make_span_with(|_: &Request<Body>| tracing::info_span!("theirs"));
    let client = over(Scripted::new([response(200, &[], MINTED)]))
        .trace(TraceLayer::disabled())
        .wire_layer(http_trace.clone())
        .build()
        .unwrap();
    claim(client.send(create()).await);
    let names: Vec<_> = capture.spans().iter().map(|span| span.name).collect();
    assert_eq!(names, ["call", "theirs"]);
    assert_eq!(capture.named("theirs")[0].parent, Some(0));

    // It can also replace both.
    let (capture, _guard) = Capture::begin();
    let client = over(Scripted::new([response(200, &[], MINTED)]))
        .trace_call(TraceCallLayer::disabled())
        .trace(TraceLayer::disabled())
        .wire_layer(http_trace)
        .build()
        .unwrap();
    claim(client.send(create()).await);
    let names: Vec<_> = capture.spans().iter().map(|span| span.name).collect();
    assert_eq!(names, ["theirs"]);
}

#[cfg(feature = "sessions")]
#[tokio::test]
async fn attempts_about_sessions_have_spans_without_ids() {
    let (capture, _guard) = Capture::begin();
    let listed = r#"[{"id":"sess_marker","user_id":"user_marker","actor":{"sub":"marker"}}]"#;
    let client = scripted([
        response(200, &[], listed),
        response(200, &[], r#"{"id":"sess_marker","status":"revoked"}"#),
    ]);
    let ended = client.end_impersonation("user_marker", |_| true).await;
    assert_eq!(ended.unwrap().len(), 1);
    let spans = capture.named("attempt");
    let templates = [
        ("GET", "/sessions"),
        ("POST", "/sessions/{session_id}/revoke"),
    ];
    assert_eq!(spans.len(), 2);
    for (span, (method, template)) in spans.iter().zip(templates) {
        assert_eq!(span.field("http.request.method"), method);
        assert_eq!(span.field("url.template"), template);
        assert_eq!(span.field("otel.name"), format!("{method} {template}"));
        assert_eq!(span.field("clerk.outcome"), "ok");
        assert_eq!(span.field("actor_token.id"), "");
    }
    let shown = format!("{:?}", capture.spans());
    assert!(!shown.contains("marker"), "{shown}");
}
