//! What `ActorTokensApi` checks, in which order, and how failures of its service are answered.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, ActorTokenStatus, Body, BoxError, ClerkError,
    ClerkErrors, Client, ClientBuilder, CreateActorToken, Error, ErrorKind, Operation, Outcome,
    RetryConfig, SecretKey,
    layer::TimeoutLayer,
    sandbox::{Fault, Sandbox},
    server::{ActorTokensApi, Inbound},
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, filter::FilterLayer};

mod server {
    mod checks;
}

const CREATE: &str = "/v1/actor_tokens";
const REVOKE: &str = "/v1/actor_tokens/act_1/revoke";

fn key() -> SecretKey {
    SecretKey::new("sk_test_gateway").unwrap()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["errors"][0]["code"].as_str().unwrap_or_default()
    }

    fn is(&self, status: u16, code: &str) -> bool {
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(
            self.headers["clerk-trace-id"],
            self.body["clerk_trace_id"].as_str().unwrap()
        );
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        true
    }
}

async fn ask<S>(api: S, request: Request<Full<Bytes>>) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    let Ok(response) = api.oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.headers["content-length"], body.len().to_string());
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap(),
    }
}

fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

const AUTH: (&str, &str) = ("authorization", "Bearer sk_test_gateway");
const JSON: (&str, &str) = ("content-type", "application/json");

fn create(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    post(CREATE, &[AUTH, JSON], body)
}

/// Remembers what it was called with, and answers with a token that has a ticket.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<ActorTokenRequest>>>);

impl Recorder {
    fn calls(&self) -> Vec<ActorTokenRequest> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

const MINTED: &str = r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2"},"status":"pending","token":"eyJ","url":"https://x/?ticket=eyJ","created_at":1,"updated_at":2}"#;

impl Service<ActorTokenRequest> for Recorder {
    type Response = ActorToken;
    type Error = BoxError;
    type Future = std::future::Ready<Result<ActorToken, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        self.0.lock().unwrap().push(request);
        std::future::ready(Ok(ActorToken::from_json(MINTED.as_bytes()).unwrap()))
    }
}

fn recorded() -> (Recorder, ActorTokensApi<Recorder>) {
    let recorder = Recorder::default();
    (recorder.clone(), ActorTokensApi::new(recorder, key()))
}

#[tokio::test]
async fn checks_come_in_order_and_a_refused_request_never_reaches_the_service() {
    let (recorder, api) = recorded();
    let (wrong, no_version) = (
        ("authorization", "Bearer sk_test_other"),
        ("clerk-api-version", "2020-01-01"),
    );
    let get = Request::get(CREATE).body(Full::default()).unwrap();
    let answer = ask(api.clone(), get).await;
    assert!(answer.is(405, "method_not_allowed"));
    assert_eq!(answer.headers["allow"], "POST");

    for (path, headers, body, status, code) in [
        ("/v1/x", &[][..], "", 404, "resource_not_found"),
        (
            "/v1/actor_tokens/a%2fb/revoke",
            &[],
            "",
            404,
            "resource_not_found",
        ),
        (
            CREATE,
            &[no_version],
            "",
            401,
            "authorization_header_format_invalid",
        ),
        (
            REVOKE,
            &[("authorization", "Basic x"), no_version],
            "",
            401,
            "authorization_header_format_invalid",
        ),
        (CREATE, &[wrong, no_version], "", 401, "clerk_key_invalid"),
        (CREATE, &[AUTH, no_version], "", 400, "api_version_invalid"),
        (REVOKE, &[AUTH, no_version], "", 400, "api_version_invalid"),
        (
            "/v1/actor_tokens?__clerk_api_version=1",
            &[AUTH],
            "",
            400,
            "api_version_invalid",
        ),
        (
            "/v1/actor_tokens?__clerk_api_version=2026-05-12",
            &[AUTH, ("clerk-api-version", "2026-05-12")],
            "",
            400,
            "api_version_invalid",
        ),
        (CREATE, &[AUTH], "7", 415, "unsupported_content_type"),
        (CREATE, &[AUTH, JSON], "7", 400, "request_body_invalid"),
    ] {
        assert!(
            ask(api.clone(), post(path, headers, body))
                .await
                .is(status, code),
            "{path}"
        );
    }
    let long = vec![b' '; 64 * 1024 + 1];
    assert!(
        ask(api.clone(), create(long.clone()))
            .await
            .is(413, "request_body_invalid")
    );
    assert!(
        ask(api, post(REVOKE, &[AUTH], long))
            .await
            .is(413, "request_body_invalid")
    );
    assert!(recorder.calls().is_empty());
}

#[tokio::test]
async fn the_body_of_a_create_is_closed_and_errors_name_the_field() {
    let (recorder, api) = recorded();
    for (body, code, field) in [
        (
            json!({"user_id": "u", "actor": {"sub": "a"}, "expires_in": 5}),
            "form_param_unknown",
            "expires_in",
        ),
        (json!({"x": 1}), "form_param_unknown", "x"),
        (json!({}), "form_param_missing", "user_id"),
        (
            json!({"actor": {"sub": "a"}}),
            "form_param_missing",
            "user_id",
        ),
        (json!({"user_id": "u"}), "form_param_missing", "actor"),
        (
            json!({"user_id": "u", "actor": {}}),
            "form_param_missing",
            "actor.sub",
        ),
        (
            json!({"user_id": "u", "actor": []}),
            "form_param_value_invalid",
            "actor",
        ),
        (
            json!({"user_id": "", "actor": {"sub": "a"}}),
            "form_param_value_invalid",
            "user_id",
        ),
        (
            json!({"user_id": 7, "actor": {"sub": "a"}}),
            "form_param_value_invalid",
            "user_id",
        ),
        (
            json!({"user_id": "u", "actor": {"sub": " "}}),
            "form_param_value_invalid",
            "actor.sub",
        ),
        (
            json!({"user_id": "u", "actor": {"sub": 7}}),
            "form_param_value_invalid",
            "actor.sub",
        ),
        (
            json!({"user_id": "u", "actor": {"sub": "a"}, "expires_in_seconds": 0}),
            "form_param_value_invalid",
            "expires_in_seconds",
        ),
        (
            json!({"user_id": "u", "actor": {"sub": "a"}, "session_max_duration_in_seconds": "5"}),
            "form_param_value_invalid",
            "session_max_duration_in_seconds",
        ),
    ] {
        let answer = ask(api.clone(), create(body.to_string())).await;
        assert!(answer.is(422, code), "{body}");
        assert_eq!(
            answer.body["errors"][0]["meta"]["param_name"], field,
            "{body}"
        );
    }
    let no_sub = ask(api, create(r#"{"user_id":"u","actor":{"a":1}}"#)).await;
    let sentence = &no_sub.body["errors"][0]["long_message"];
    assert_eq!(sentence, "actor.sub must be included.");
    assert!(recorder.calls().is_empty());
}

#[tokio::test]
async fn the_service_gets_the_operation_and_the_answer_has_the_credential() {
    let (recorder, api) = recorded();
    let body = json!({
        "user_id": "user_1",
        "actor": {"sub": "user_2", "n": u64::MAX, "deep": {"a": [1, null]}},
        "expires_in_seconds": 300,
        "session_max_duration_in_seconds": null,
    });
    let answer = ask(api.clone(), create(body.to_string())).await;
    assert_eq!(
        (answer.status, answer.body),
        (200, serde_json::from_str(MINTED).unwrap())
    );
    let query = "/v1/actor_tokens/act_7/revoke?__clerk_api_version=2021-02-05";
    assert_eq!(ask(api, post(query, &[AUTH], "")).await.status, 200);

    let actor = Actor::new("user_2")
        .claim("n", u64::MAX)
        .claim("deep", json!({"a": [1, null]}));
    let expected = CreateActorToken::new("user_1", actor).expires_in(Duration::from_secs(300));
    let calls = recorder.calls();
    assert_eq!(calls[0].operation(), &Operation::Create(expected));
    assert_eq!(
        calls[1].operation(),
        &Operation::Revoke("act_7".parse().unwrap())
    );
}

#[tokio::test]
async fn inbound_headers_are_at_hand_and_not_passed_on() {
    #[derive(Clone, Debug, PartialEq)]
    struct Operator(&'static str);

    let (recorder, api) = recorded();
    let mut request = post(
        REVOKE,
        &[AUTH, ("x-operator", "marker"), ("x-operator", "b")],
        "",
    );
    request.extensions_mut().insert(Operator("jo"));
    assert_eq!(ask(api, request).await.status, 200);

    let calls = recorder.calls();
    assert!(calls[0].headers().is_empty());
    let inbound = calls[0].extensions().get::<Inbound>().unwrap();
    assert_eq!(inbound.headers().get_all("x-operator").iter().count(), 2);
    assert!(!inbound.headers().contains_key("authorization"));
    assert!(!format!("{inbound:?}").contains("marker"));
    // What an authentication in front has found out reaches every layer.
    assert_eq!(
        calls[0].extensions().get::<Operator>(),
        Some(&Operator("jo"))
    );
}

#[tokio::test]
async fn keys_can_be_added_and_left_out() {
    let revoke = |bearer: &str| post(REVOKE, &[("authorization", bearer)], "");
    let other = || SecretKey::new("sk_test_other").unwrap();
    let api = ActorTokensApi::new(Recorder::default(), key()).accept_key(other());
    for bearer in ["Bearer sk_test_gateway", "Bearer sk_test_other"] {
        assert_eq!(ask(api.clone(), revoke(bearer)).await.status, 200);
    }
    assert!(!format!("{api:?}").contains("sk_test"));

    let open = ActorTokensApi::unauthenticated(Recorder::default());
    assert_eq!(ask(open.clone(), post(REVOKE, &[], "")).await.status, 200);
    let closed = open.accept_key(other());
    assert_eq!(ask(closed, post(REVOKE, &[], "")).await.status, 401);
}

#[tokio::test]
async fn the_base_path_can_be_chosen() {
    let (_, api) = recorded();
    for (base, path, status) in [
        ("/clerk/v1", "/clerk/v1/actor_tokens/act_1/revoke", 200),
        ("", "/actor_tokens/act_1/revoke", 200),
        ("/clerk", REVOKE, 404),
    ] {
        let api = api.clone().base_path(base);
        assert_eq!(
            ask(api, post(path, &[AUTH], "")).await.status,
            status,
            "{path}"
        );
    }
}

/// The answer when the service fails with this.
async fn answer_to<E>(error: impl Fn() -> E + Clone + Send + 'static) -> Answer
where
    E: Into<BoxError> + Send + 'static,
{
    let service = tower::service_fn(move |_: ActorTokenRequest| {
        let error = error();
        async move { Err::<ActorToken, _>(error) }
    });
    ask(
        ActorTokensApi::new(service, key()),
        post(REVOKE, &[AUTH], ""),
    )
    .await
}

#[tokio::test]
async fn an_answer_of_the_api_is_passed_on() {
    let answer = answer_to(|| {
        let entry = ClerkError::new("impersonation_limit_exceeded", "m", "l");
        let mut errors = ClerkErrors::new(entry.with_meta("limit", 5));
        errors.clerk_trace_id = Some("upstream".into());
        Error::api(StatusCode::UNPROCESSABLE_ENTITY, errors)
    })
    .await;
    assert!(answer.is(422, "impersonation_limit_exceeded"));
    assert_eq!(answer.body["errors"][0]["meta"]["limit"], 5);
    assert_eq!(answer.headers["clerk-trace-id"], "upstream");

    let empty = || answer_to(|| Error::api(StatusCode::BAD_GATEWAY, ClerkErrors::default()));
    let (one, other) = (empty().await, empty().await);
    assert!(one.is(502, "bad_gateway"));
    assert_eq!(one.headers["clerk-trace-id"].len(), 32);
    assert_ne!(
        one.headers["clerk-trace-id"],
        other.headers["clerk-trace-id"]
    );
}

#[tokio::test]
async fn retry_after_is_rounded_up_to_whole_seconds() {
    for (wait, seconds) in [
        (Duration::ZERO, "0"),
        (Duration::from_millis(1), "1"),
        (Duration::from_secs(1), "1"),
        (Duration::from_millis(1001), "2"),
        (Duration::from_secs(90), "90"),
        (Duration::MAX, "18446744073709551615"),
    ] {
        let answer = answer_to(move || {
            let entry = ClerkError::new("too_many_requests", "m", "l");
            Error::api(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::new(entry)).try_again_in(wait)
        });
        let answer = answer.await;
        assert!(answer.is(429, "too_many_requests"));
        assert_eq!(answer.headers["retry-after"], seconds);
    }
}

#[tokio::test]
async fn nothing_of_a_foreign_error_is_shown() {
    let answer = answer_to(|| "marker: the pool is empty").await;
    assert!(answer.is(500, "internal_clerk_error"));
    assert!(!answer.body.to_string().contains("marker"));
}

#[tokio::test]
async fn a_service_that_is_not_ready_for_an_error_is_answered_too() {
    #[derive(Clone)]
    struct Broken;

    impl Service<ActorTokenRequest> for Broken {
        type Response = ActorToken;
        type Error = BoxError;
        type Future = std::future::Pending<Result<ActorToken, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("marker".into()))
        }

        fn call(&mut self, _: ActorTokenRequest) -> Self::Future {
            panic!("called unready")
        }
    }

    let answer = ask(
        ActorTokensApi::new(Broken, key()),
        post(REVOKE, &[AUTH], ""),
    )
    .await;
    assert!(answer.is(500, "internal_clerk_error"));
}

#[tokio::test(start_paused = true)]
async fn a_bare_time_out_of_this_crate_is_a_gateway_timeout() {
    let never = tower::service_fn(|_: ActorTokenRequest| {
        std::future::pending::<Result<ActorToken, BoxError>>()
    });
    let service = TimeoutLayer::new(Duration::from_secs(1)).layer(never);
    let answer = ask(
        ActorTokensApi::new(service, key()),
        post(REVOKE, &[AUTH], ""),
    )
    .await;
    assert!(answer.is(504, "gateway_timeout"));
}

/// A gateway over a client, which sends once, over the sandbox.
fn gateway(sandbox: &Sandbox) -> ActorTokensApi<Client> {
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::disabled())
        .build()
        .unwrap();
    ActorTokensApi::new(client, key())
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_client_s_key_is_not_told_of_the_caller_s() {
    let sandbox = Sandbox::new();
    let wrong = SecretKey::new("sk_test_wrong").unwrap();
    let client = ClientBuilder::over(wrong, sandbox.transport()).build();
    let answer = ask(ActorTokensApi::new(client.unwrap(), key()), create(BODY)).await;
    assert!(answer.is(502, "bad_gateway"));
    assert_eq!(sandbox.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_says_something_of_what_says_nothing() {
    let sandbox = Sandbox::new();
    for (status, told) in [
        (403, "The service refused. Nothing has changed."),
        (
            502,
            "The service gave no answer that can be used. It may have taken effect.",
        ),
    ] {
        let page = StatusCode::from_u16(status).unwrap();
        sandbox.inject(Fault::Html(page));
        let answer = ask(gateway(&sandbox), create(BODY)).await;
        assert!(answer.is(status, "bad_gateway"), "{status}");
        assert_eq!(answer.body["errors"][0]["long_message"], told);
    }
}

#[tokio::test]
async fn a_guard_that_refuses_with_5xx_says_that_nothing_was_sent() {
    let closed = || {
        let why = ClerkError::new("closed", "closed", "Support is closed.");
        Error::api(StatusCode::SERVICE_UNAVAILABLE, ClerkErrors::new(why))
            .not_sent()
            .try_again_in(Duration::from_secs(60))
    };
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(move |_: ActorTokenRequest| {
            Err::<ActorTokenRequest, _>(closed())
        }))
        .build()
        .unwrap();
    let error = client
        .send(ActorTokenRequest::revoke("act_1".parse().unwrap()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.outcome(), error.exposed_until()),
        (Outcome::NotSent, None)
    );
    let answer = ask(ActorTokensApi::new(client, key()), create(BODY)).await;
    assert!(answer.is(503, "closed"));
    assert_eq!(answer.headers["retry-after"], "60");
    assert_eq!(sandbox.requests(), 0);
}

const BODY: &str = r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#;

#[tokio::test(start_paused = true)]
async fn a_gateway_tells_what_may_have_happened() {
    let sandbox = Sandbox::new();
    for (fault, status, code) in [
        (
            Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
            503,
            "service_unavailable",
        ),
        (
            Fault::Status(StatusCode::FORBIDDEN),
            403,
            "authorization_invalid",
        ),
        (Fault::Status(StatusCode::FOUND), 502, "bad_gateway"),
        (Fault::DisconnectAfter, 502, "bad_gateway"),
        (Fault::HangAfter, 504, "gateway_timeout"),
        (Fault::Truncate(10), 502, "bad_gateway"),
        (Fault::Body(Bytes::from_static(b"{}")), 502, "bad_gateway"),
        (
            Fault::RateLimited {
                retry_after: Duration::from_millis(1500),
            },
            429,
            "too_many_requests",
        ),
    ] {
        sandbox.inject(fault.clone());
        let answer = ask(gateway(&sandbox), create(BODY)).await;
        assert!(answer.is(status, code), "{fault:?}");
        let wait = answer
            .headers
            .get("retry-after")
            .map(|wait| wait.to_str().unwrap());
        assert_eq!(wait, (status == 429).then_some("2"), "{fault:?}");
    }
    sandbox.inject(Fault::Html(StatusCode::BAD_GATEWAY));
    let html = ask(gateway(&sandbox), create(BODY)).await;
    assert!(html.is(502, "bad_gateway"));
    assert!(
        html.headers["clerk-trace-id"]
            .to_str()
            .unwrap()
            .ends_with("-FRA")
    );
}

#[tokio::test]
async fn a_token_that_was_minted_but_cannot_be_delivered_is_named_unless_it_is_somebody_elses() {
    let sandbox = Sandbox::new();
    let of_another = r#"{"id":"act_7","user_id":"another","status":"pending","token":"eyJmarker"}"#;
    let of_nobody = r#"{"id":"act_7","status":"pending","token":"eyJmarker"}"#;
    for (body, named) in [(of_nobody, true), (of_another, false)] {
        sandbox.inject(Fault::Body(Bytes::from_static(body.as_bytes())));
        let answer = ask(gateway(&sandbox), create(BODY)).await;
        assert!(answer.is(502, "bad_gateway"));
        let entry = &answer.body["errors"][0];
        assert_eq!(entry["meta"]["actor_token_id"] == "act_7", named, "{body}");
        let told = answer.body.to_string();
        assert_eq!(told.contains("act_7"), named, "{told}");
        assert!(!told.contains("marker"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_named_whose_answer_did_not_end_in_time() {
    let sandbox = Sandbox::new();
    let (after, time) = (120, Duration::from_secs(3600));
    sandbox.inject(Fault::Pause { after, time });
    let answer = ask(gateway(&sandbox), create(BODY)).await;
    assert!(answer.is(504, "gateway_timeout"));
    let error = &answer.body["errors"][0];
    let minted = sandbox.ledger().minted().next().unwrap().id().to_string();
    assert_eq!(error["meta"]["actor_token_id"], minted);
    assert_eq!(
        error["long_message"],
        "The service took too long. It has taken effect."
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_out_before_anything_was_sent_says_that_nothing_has_changed() {
    // Still connecting when its time runs out.
    let connecting = tower::service_fn(|request: Request<Body>| async move {
        let _not_taken = request;
        std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>().await
    });
    let client = ClientBuilder::over(key(), connecting).build().unwrap();
    let answer = ask(ActorTokensApi::new(client, key()), create(BODY)).await;
    assert!(answer.is(504, "gateway_timeout"));
    assert_eq!(
        answer.body["errors"][0]["long_message"],
        "The service took too long. Nothing has changed."
    );
}

#[tokio::test]
async fn a_guard_in_a_client_refuses_in_the_terms_of_the_api() {
    let sandbox = Sandbox::new();
    let refuse = |_: ActorTokenRequest| {
        let why = ClerkError::new("operator_missing", "no operator", "Say who asks.");
        Err::<ActorTokenRequest, _>(Error::api(StatusCode::FORBIDDEN, ClerkErrors::new(why)))
    };
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(refuse))
        .build()
        .unwrap();
    let answer = ask(ActorTokensApi::new(client, key()), create(BODY)).await;
    assert!(answer.is(403, "operator_missing"));
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test]
async fn a_foreign_error_in_a_client_is_answered_by_what_became_of_the_call() {
    let sandbox = Sandbox::new();
    let refuse = |_: ActorTokenRequest| Err::<ActorTokenRequest, _>("marker: the pool is empty");
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(refuse))
        .build()
        .unwrap();
    let answer = ask(ActorTokensApi::new(client, key()), create(BODY)).await;
    assert!(answer.is(503, "service_unavailable"));
    let told = answer.body.to_string();
    assert!(
        told.contains("Nothing has changed.") && !told.contains("marker"),
        "{told}"
    );
}

#[tokio::test]
async fn request_that_the_client_finds_invalid_is_a_422() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(|_: ActorTokenRequest| {
            let create = CreateActorToken::new("", Actor::new("user_2"));
            Ok::<_, BoxError>(ActorTokenRequest::create(create))
        }))
        .build()
        .unwrap();
    let answer = ask(ActorTokensApi::new(client, key()), create(BODY)).await;
    assert!(answer.is(422, "form_param_value_invalid"));
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test]
async fn foreign_error_after_the_token_was_minted_is_a_502() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(tower::util::AndThenLayer::new(|_: ActorToken| async {
            Err::<ActorToken, _>(BoxError::from("marker"))
        }))
        .build()
        .unwrap();
    let answer = ask(ActorTokensApi::new(client, key()), create(BODY)).await;
    assert!(answer.is(502, "bad_gateway"));
    assert!(!answer.body.to_string().contains("marker"));
    assert_eq!(sandbox.ledger().minted().len(), 1);
}

#[cfg(feature = "transport")]
#[tokio::test]
async fn connection_that_is_refused_is_a_503() {
    let sandbox = Sandbox::new();
    let base_url = sandbox.spawn().await.unwrap().base_url();
    let client = Client::builder(sandbox.secret_key())
        .base_url(base_url)
        .retry(RetryConfig::disabled())
        .build()
        .unwrap();
    let answer = ask(ActorTokensApi::new(client, key()), create(BODY)).await;
    assert!(answer.is(503, "service_unavailable"));
}

#[tokio::test(start_paused = true)]
async fn a_4xx_after_an_attempt_in_doubt_is_not_passed_on() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .build()
        .unwrap();
    sandbox.inject(Fault::DisconnectBefore);
    sandbox.inject(Fault::Status(StatusCode::FORBIDDEN));
    let answer = ask(
        ActorTokensApi::new(client, key()),
        post(REVOKE, &[AUTH], ""),
    )
    .await;
    assert!(answer.is(502, "bad_gateway"));
}

#[tokio::test]
async fn a_client_over_a_gateway_sees_what_a_client_over_the_api_sees() {
    let sandbox = Sandbox::new().known_users(["user_1"]);
    let client = ClientBuilder::over(key(), gateway(&sandbox))
        .build()
        .unwrap();
    let actor = Actor::new("user_2").claim("reason", "ticket 4711");
    let life = Duration::from_secs(300);
    let create = |user: &str| CreateActorToken::new(user, actor.clone()).expires_in(life);

    let token = client.create(create("user_1")).await.unwrap();
    assert_eq!(token.actor(), Some(&actor));
    assert_eq!(
        token.expires_at(),
        token.created_at().map(|at: SystemTime| at + life)
    );
    let ticket = token.ticket().unwrap().expose_token().unwrap().to_owned();

    let error = client.create(create("user_9")).await.unwrap_err();
    assert_eq!(
        (error.status(), error.code()),
        (Some(StatusCode::NOT_FOUND), Some("resource_not_found"))
    );
    assert_eq!(error.outcome(), Outcome::Rejected);

    let revoked = client.revoke(token.id()).await.unwrap();
    assert_eq!(revoked.status(), &ActorTokenStatus::Revoked);
    assert!(sandbox.accept(&ticket).is_err());
    let again = client.revoke(token.id()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyRevoked);
}

/// Panics when it is called without having been polled ready; its clones are not ready.
#[derive(Default)]
struct Strict {
    is_ready: bool,
    clones: Arc<Mutex<u32>>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        *self.clones.lock().unwrap() += 1;
        Self {
            is_ready: false,
            clones: Arc::clone(&self.clones),
        }
    }
}

impl Service<ActorTokenRequest> for Strict {
    type Response = ActorToken;
    type Error = BoxError;
    type Future = std::future::Ready<Result<ActorToken, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if !std::mem::replace(&mut self.is_ready, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called unready");
        let Operation::Revoke(id) = request.operation() else {
            panic!("only revokes are asked for")
        };
        let token = ActorToken::new(id.clone(), ActorTokenStatus::Revoked);
        std::future::ready(Ok(token))
    }
}

#[tokio::test]
async fn the_instance_polled_ready_is_called_and_refused_requests_take_none() {
    let service = Strict::default();
    let clones = Arc::clone(&service.clones);
    let mut api = ActorTokensApi::new(service, key());
    let Ok(refused) = api.call(post(REVOKE, &[], "")).await;
    assert_eq!(
        (refused.status().as_u16(), *clones.lock().unwrap()),
        (401, 0)
    );
    for _ in 0..2 {
        let Ok(answer) = api.call(post(REVOKE, &[AUTH], "")).await;
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(*clones.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_at_the_gateway_waits_for_is_revoked_and_what_was_answered_is_not() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .build()
        .unwrap();
    let api = ActorTokensApi::new(client.clone(), key());
    let body = r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#;
    assert_eq!(ask(api.clone(), create(body)).await.status, 200);

    sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let gone = tokio::time::timeout(Duration::from_secs(1), ask(api, create(body)));
    assert!(gone.await.is_err());
    let report = client.drain(Duration::from_secs(60)).await;
    assert_eq!((report.is_complete(), report.counts().revoked), (true, 1));
    let ledger = sandbox.ledger();
    assert_eq!((ledger.minted().len(), ledger.pending().count()), (2, 1));
}
