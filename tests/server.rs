//! `ActorTokensApi`: the order of its checks, and the response to each failure of its service. Long, because a
//! promise has one file.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, Body, BoxError,
    ClerkError, ClerkErrors, Client, ClientBuilder, CreateActorToken, Error, ErrorKind,
    InvalidRequest, InvalidSecretKey, KeyProvider, KeySource, Operation, Outcome, RetryConfig,
    SecretKey,
    layer::TimeoutLayer,
    sandbox::{Fault, Sandbox},
    server::{AcceptedKeys, ActorTokensApi, Inbound, KeyName, ResponseBody},
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, filter::FilterLayer};

mod server {
    mod checks;
    #[cfg(feature = "transport")]
    mod disconnects;
}

const CREATE: &str = "/v1/actor_tokens";
const REVOKE: &str = "/v1/actor_tokens/act_1/revoke";

fn key() -> SecretKey {
    SecretKey::new("sk_test_gateway_0123456789").unwrap()
}

struct Received {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Received {
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

async fn send<S>(api: S, request: Request<Full<Bytes>>) -> Received
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResponseBody>, Error = Infallible>,
{
    let Ok(response) = api.oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.headers["content-length"], body.len().to_string());
    Received {
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

const AUTH: (&str, &str) = ("authorization", "Bearer sk_test_gateway_0123456789");
const JSON: (&str, &str) = ("content-type", "application/json");

fn create(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    post(CREATE, &[AUTH, JSON], body)
}

/// Records its calls and returns a token with a ticket.
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
    (
        recorder.clone(),
        ActorTokensApi::new(recorder, key()).unwrap(),
    )
}

#[tokio::test]
async fn checks_run_in_order_and_refused_request_does_not_reach_the_service() {
    let (recorder, api) = recorded();
    let (wrong, no_version) = (
        ("authorization", "Bearer sk_test_other_0123456789ab"),
        ("clerk-api-version", "2020-01-01"),
    );
    let get = Request::get(CREATE).body(Full::default()).unwrap();
    let response = send(api.clone(), get).await;
    assert!(response.is(405, "method_not_allowed"));
    assert_eq!(response.headers["allow"], "POST");

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
            send(api.clone(), post(path, headers, body))
                .await
                .is(status, code),
            "{path}"
        );
    }
    let long = vec![b' '; 64 * 1024 + 1];
    assert!(
        send(api.clone(), create(long.clone()))
            .await
            .is(413, "request_body_invalid")
    );
    assert!(
        send(api, post(REVOKE, &[AUTH], long))
            .await
            .is(413, "request_body_invalid")
    );
    assert!(recorder.calls().is_empty());
}

#[tokio::test]
async fn invalid_body_of_a_create_is_refused_with_the_name_of_the_field() {
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
        let response = send(api.clone(), create(body.to_string())).await;
        assert!(response.is(422, code), "{body}");
        assert_eq!(
            response.body["errors"][0]["meta"]["param_name"], field,
            "{body}"
        );
    }
    let no_sub = send(api, create(r#"{"user_id":"u","actor":{"a":1}}"#)).await;
    let sentence = &no_sub.body["errors"][0]["long_message"];
    assert_eq!(sentence, "actor.sub must be included.");
    assert!(recorder.calls().is_empty());
}

#[tokio::test]
async fn service_receives_the_operation_and_the_response_has_the_credential() {
    let (recorder, api) = recorded();
    let body = json!({
        "user_id": "user_1",
        "actor": {"sub": "user_2", "n": u64::MAX, "deep": {"a": [1, null]}},
        "expires_in_seconds": 300,
        "session_max_duration_in_seconds": null,
    });
    let response = send(api.clone(), create(body.to_string())).await;
    assert_eq!(
        (response.status, response.body),
        (200, serde_json::from_str(MINTED).unwrap())
    );
    let query = "/v1/actor_tokens/act_7/revoke?__clerk_api_version=2021-02-05";
    assert_eq!(send(api, post(query, &[AUTH], "")).await.status, 200);

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
async fn inbound_headers_are_an_extension_and_are_not_forwarded() {
    #[derive(Clone, Debug, PartialEq)]
    struct Operator(&'static str);

    let (recorder, api) = recorded();
    let mut request = post(
        REVOKE,
        &[AUTH, ("x-operator", "marker"), ("x-operator", "b")],
        "",
    );
    request.extensions_mut().insert(Operator("jo"));
    assert_eq!(send(api, request).await.status, 200);

    let calls = recorder.calls();
    assert!(calls[0].headers().is_empty());
    let inbound = calls[0].extensions().get::<Inbound>().unwrap();
    assert_eq!(inbound.headers().get_all("x-operator").iter().count(), 2);
    assert!(!inbound.headers().contains_key("authorization"));
    assert!(!format!("{inbound:?}").contains("marker"));
    // An extension of an outer authentication layer reaches every layer.
    assert_eq!(
        calls[0].extensions().get::<Operator>(),
        Some(&Operator("jo"))
    );
}

#[tokio::test]
async fn added_keys_are_accepted_and_every_caller_without_keys() {
    let revoke = |bearer: &str| post(REVOKE, &[("authorization", bearer)], "");
    let other = || SecretKey::new("sk_test_other_0123456789ab").unwrap();
    let api = ActorTokensApi::new(Recorder::default(), key())
        .unwrap()
        .accept_key("other", other())
        .unwrap();
    for bearer in [
        "Bearer sk_test_gateway_0123456789",
        "Bearer sk_test_other_0123456789ab",
    ] {
        assert_eq!(send(api.clone(), revoke(bearer)).await.status, 200);
    }
    assert!(!format!("{api:?}").contains("sk_test"));

    let open = ActorTokensApi::unauthenticated(Recorder::default());
    assert_eq!(send(open.clone(), post(REVOKE, &[], "")).await.status, 200);
    let closed = open.accept_key("other", other()).unwrap();
    assert_eq!(send(closed, post(REVOKE, &[], "")).await.status, 401);
}

const CI: &str = "sk_test_ci_0123456789abcdef";
const CI_NEXT: &str = "sk_test_ci_next_0123456789";

/// Sends a revoke with this key. Returns the status, and the name of the key that the service got.
async fn admitted(recorder: &Recorder, api: &Api, key: &str) -> (u16, Option<String>) {
    let bearer = format!("Bearer {key}");
    let request = post(REVOKE, &[("authorization", &bearer)], "");
    let status = send(api.clone(), request).await.status;
    let calls = recorder.calls();
    let name = calls.last().and_then(|call| call.extensions().get());
    (status, name.map(KeyName::to_string))
}

type Api = ActorTokensApi<Recorder>;

#[tokio::test]
async fn name_of_the_presented_key_reaches_the_service() {
    let (recorder, api) = recorded();
    let named = |name, key| api.clone().accept_key(name, SecretKey::new(key).unwrap());
    let (ci, both) = (
        named("ci", CI).unwrap(),
        named("ci", CI).and_then(|api| api.accept_key("next", SecretKey::new(CI_NEXT).unwrap())),
    );
    let both = both.unwrap();
    assert_eq!(admitted(&recorder, &ci, CI).await, (200, Some("ci".into())));
    assert_eq!(admitted(&recorder, &both, CI_NEXT).await.1.unwrap(), "next");
    // The key of `new` has no name.
    let unnamed = "sk_test_gateway_0123456789";
    assert_eq!(admitted(&recorder, &both, unnamed).await, (200, None));
    let calls = recorder.calls().len();
    assert_eq!(admitted(&recorder, &ci, CI_NEXT).await.0, 401);
    assert_eq!(admitted(&recorder, &api, CI).await.0, 401);
    assert_eq!(recorder.calls().len(), calls);
}

#[tokio::test]
async fn keys_change_while_the_api_serves() {
    let keys = AcceptedKeys::new();
    let recorder = Recorder::default();
    let api = ActorTokensApi::with_keys(recorder.clone(), keys.clone());
    let set = |texts: &[&str]| {
        let texts = texts.iter().map(|text| SecretKey::new(*text).unwrap());
        keys.set("ci", texts)
    };
    for (accepted, statuses) in [
        (&[][..], [401, 401]),
        (&[CI][..], [200, 401]),
        (&[CI_NEXT, CI][..], [200, 200]),
        (&[CI_NEXT][..], [401, 200]),
        (&[][..], [401, 401]),
    ] {
        set(accepted).unwrap();
        for (key, status) in [CI, CI_NEXT].into_iter().zip(statuses) {
            let (got, name) = admitted(&recorder, &api, key).await;
            assert_eq!(got, status, "{accepted:?} {key}");
            assert!(got != 200 || name.as_deref() == Some("ci"));
        }
    }
    // All keys at once: a name that is not among the new ones is gone.
    let key = |text| SecretKey::new(text).unwrap();
    keys.replace([("ci", [key(CI)]), ("next", [key(CI_NEXT)])])
        .unwrap();
    let names = [
        admitted(&recorder, &api, CI).await.1,
        admitted(&recorder, &api, CI_NEXT).await.1,
    ];
    assert_eq!(names, [Some("ci".into()), Some("next".into())]);
    assert!(
        keys.replace([("ci", [key(CI)]), ("next", [key("sk_test_short")])])
            .is_err()
    );
    assert_eq!(admitted(&recorder, &api, CI_NEXT).await.0, 200);
    keys.replace([("ci", [key(CI)])]).unwrap();
    assert_eq!(admitted(&recorder, &api, CI_NEXT).await.0, 401);
    // A key that could be guessed changes nothing.
    set(&[CI]).unwrap();
    assert_eq!(
        set(&[CI_NEXT, "sk_test_short"]),
        Err(InvalidSecretKey::Weak)
    );
    assert_eq!(admitted(&recorder, &api, CI).await.0, 200);
    let shown = format!("{api:?} {keys:#?}");
    assert!(
        shown.contains("ci") && !shown.contains("sk_test"),
        "{shown}"
    );
}

#[tokio::test]
async fn key_with_two_equal_differences_is_refused() {
    // The difference of both bytes is the same, so that their sum without a carry is zero.
    let swapped = ("authorization", "Bearer sk_test_gateway_1023456789");
    let response = send(recorded().1, post(CREATE, &[swapped, JSON], BODY)).await;
    assert!(response.is(401, "clerk_key_invalid"));
}

#[test]
fn key_that_could_be_guessed_is_not_accepted() {
    let open = || ActorTokensApi::unauthenticated(Recorder::default());
    let named = |key| {
        let keys = AcceptedKeys::new();
        keys.set("other", [key])?;
        Ok(ActorTokensApi::with_keys(Recorder::default(), keys))
    };
    for (text, characters) in [
        ("sk_test_gateway", 7),
        ("sk_live_0123456789abcde", 15),
        ("sk_0123456789abcde", 15),
        ("sk_0123456789abcdef", 16),
        ("sk_test_0123456789abcdef", 16),
    ] {
        let key = || SecretKey::new(text).unwrap();
        let made = [
            ActorTokensApi::new(Recorder::default(), key()),
            open().accept_key("other", key()),
            named(key()),
        ];
        for made in made {
            let Err(error) = made else {
                assert!(characters >= 16, "{text}");
                continue;
            };
            assert!(characters < 16, "{text}");
            assert_eq!(error, InvalidSecretKey::Weak);
            let says = "a key that a service accepts has at least 16 characters after its prefix";
            assert_eq!(error.to_string(), says);
        }
    }
}

#[tokio::test]
async fn name_of_an_unknown_field_is_cleaned() {
    let (_, api) = recorded();
    let name = "a\u{202e}\u{1b}[1m sk_test_marker";
    let body = json!({"user_id": "u", "actor": {"sub": "a"}, name: 1});
    let response = send(api, create(body.to_string())).await;
    assert!(response.is(422, "form_param_unknown"));
    let entry = &response.body["errors"][0];
    let shown = "a[1m sk_[redacted]";
    assert_eq!(entry["meta"]["param_name"], shown);
    let sentence = format!("{shown} is not a parameter of this request.");
    assert_eq!(entry["long_message"], sentence);
}

#[tokio::test]
async fn requests_are_served_under_the_base_path() {
    let (_, api) = recorded();
    for (base, path, status) in [
        ("/clerk/v1", "/clerk/v1/actor_tokens/act_1/revoke", 200),
        ("", "/actor_tokens/act_1/revoke", 200),
        ("/clerk", REVOKE, 404),
    ] {
        let api = api.clone().base_path(base);
        assert_eq!(
            send(api, post(path, &[AUTH], "")).await.status,
            status,
            "{path}"
        );
    }
}

/// Returns the response when the service fails with this error.
async fn response_to<E>(error: impl Fn() -> E + Clone + Send + 'static) -> Received
where
    E: Into<BoxError> + Send + 'static,
{
    let service = tower::service_fn(move |_: ActorTokenRequest| {
        let error = error();
        async move { Err::<ActorToken, _>(error) }
    });
    send(
        ActorTokensApi::new(service, key()).unwrap(),
        post(REVOKE, &[AUTH], ""),
    )
    .await
}

#[tokio::test]
async fn error_of_the_api_is_forwarded() {
    let response = response_to(|| {
        let entry = ClerkError::new("impersonation_limit_exceeded", "m", "l");
        let mut errors = ClerkErrors::new(entry.with_meta("limit", 5));
        errors.clerk_trace_id = Some("upstream".into());
        Error::api(StatusCode::UNPROCESSABLE_ENTITY, errors)
    })
    .await;
    assert!(response.is(422, "impersonation_limit_exceeded"));
    assert_eq!(response.body["errors"][0]["meta"]["limit"], 5);
    assert_eq!(response.headers["clerk-trace-id"], "upstream");

    let empty = || response_to(|| Error::api(StatusCode::BAD_GATEWAY, ClerkErrors::default()));
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
        let response = response_to(move || {
            let entry = ClerkError::new("too_many_requests", "m", "l");
            Error::api(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::new(entry))
                .with_retry_after(wait)
        });
        let response = response.await;
        assert!(response.is(429, "too_many_requests"));
        assert_eq!(response.headers["retry-after"], seconds);
    }
}

#[tokio::test]
async fn text_of_a_foreign_error_is_not_shown() {
    let response = response_to(|| "marker: the pool is empty").await;
    assert!(response.is(500, "internal_clerk_error"));
    assert!(!response.body.to_string().contains("marker"));
}

#[tokio::test]
async fn error_of_poll_ready_is_a_500() {
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
            panic!("called before it was ready")
        }
    }

    let response = send(
        ActorTokensApi::new(Broken, key()).unwrap(),
        post(REVOKE, &[AUTH], ""),
    )
    .await;
    assert!(response.is(500, "internal_clerk_error"));
}

#[tokio::test(start_paused = true)]
async fn timeout_of_a_timeout_layer_is_a_504() {
    let silent = tower::service_fn(|_: ActorTokenRequest| {
        std::future::pending::<Result<ActorToken, BoxError>>()
    });
    let service = TimeoutLayer::new(Duration::from_secs(1)).layer(silent);
    let response = send(
        ActorTokensApi::new(service, key()).unwrap(),
        post(REVOKE, &[AUTH], ""),
    )
    .await;
    assert!(response.is(504, "gateway_timeout"));
}

/// Returns a gateway over a client that sends once, over the sandbox.
fn gateway(sandbox: &Sandbox) -> ActorTokensApi<Client> {
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::disabled())
        .build()
        .unwrap();
    ActorTokensApi::new(client, key()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn status_401_about_the_key_of_the_client_becomes_a_502() {
    let sandbox = Sandbox::new();
    let wrong = SecretKey::new("sk_test_wrong").unwrap();
    let client = ClientBuilder::over(wrong, sandbox.transport()).build();
    let response = send(
        ActorTokensApi::new(client.unwrap(), key()).unwrap(),
        create(BODY),
    )
    .await;
    assert!(response.is(502, "bad_gateway"));
    assert_eq!(sandbox.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn status_about_the_connection_of_the_client_becomes_a_502_or_504() {
    let sandbox = Sandbox::new();
    let statuses = [
        (502, "bad_gateway", &[407, 421, 425][..]),
        (504, "gateway_timeout", &[408, 460, 499]),
    ];
    for (status, code, upstream) in statuses {
        for upstream in upstream.iter().map(|it| StatusCode::from_u16(*it).unwrap()) {
            for request in [create(BODY), post(REVOKE, &[AUTH], "")] {
                sandbox.inject(Fault::Status(upstream));
                let response = send(gateway(&sandbox), request).await;
                assert!(response.is(status, code), "{upstream}");
                assert!(
                    !response.body.to_string().contains("scripted"),
                    "{upstream}"
                );
            }
        }
    }
    // Any other 4xx is about the request, and so is every 4xx of a guard.
    for status in [402, 403, 404, 409, 410, 418, 423, 451] {
        sandbox.inject(Fault::Status(StatusCode::from_u16(status).unwrap()));
        assert_eq!(send(gateway(&sandbox), create(BODY)).await.status, status);
    }
    for status in [407, 421, 425, 408] {
        let status = StatusCode::from_u16(status).unwrap();
        let guard =
            move || Error::refused(status, ClerkErrors::new(ClerkError::new("c", "m", "l")));
        assert!(response_to(guard).await.is(status.as_u16(), "c"));
    }
}

#[tokio::test(start_paused = true)]
async fn html_error_becomes_an_entry_that_states_the_outcome() {
    let sandbox = Sandbox::new();
    for (status, text) in [
        (403, "The service refused. Nothing has changed."),
        (
            502,
            "The response of the service is unusable. It may have taken effect.",
        ),
    ] {
        let page = StatusCode::from_u16(status).unwrap();
        sandbox.inject(Fault::Html(page));
        let response = send(gateway(&sandbox), create(BODY)).await;
        assert!(response.is(status, "bad_gateway"), "{status}");
        assert_eq!(response.body["errors"][0]["long_message"], text);
    }
}

#[tokio::test]
async fn guard_that_refuses_with_a_5xx_and_not_sent_is_forwarded() {
    let closed = || {
        let why = ClerkError::new("closed", "closed", "Support is closed.");
        Error::api(StatusCode::SERVICE_UNAVAILABLE, ClerkErrors::new(why))
            .with_outcome(Outcome::NotSent)
            .with_retry_after(Duration::from_secs(60))
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
    let response = send(ActorTokensApi::new(client, key()).unwrap(), create(BODY)).await;
    assert!(response.is(503, "closed"));
    assert_eq!(response.headers["retry-after"], "60");
    assert_eq!(sandbox.requests(), 0);
}

const BODY: &str = r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#;

#[tokio::test(start_paused = true)]
async fn status_of_a_failure_states_the_same_outcome() {
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
        let response = send(gateway(&sandbox), create(BODY)).await;
        assert!(response.is(status, code), "{fault:?}");
        let wait = response
            .headers
            .get("retry-after")
            .map(|wait| wait.to_str().unwrap());
        assert_eq!(wait, (status == 429).then_some("2"), "{fault:?}");
    }
    sandbox.inject(Fault::Html(StatusCode::BAD_GATEWAY));
    let html = send(gateway(&sandbox), create(BODY)).await;
    assert!(html.is(502, "bad_gateway"));
    assert!(
        html.headers["clerk-trace-id"]
            .to_str()
            .unwrap()
            .ends_with("-FRA")
    );
}

/// Returns failures of every kind that needs neither a network nor a limit, with the statuses and bodies of each.
async fn failures() -> Vec<Error> {
    let down = || ClerkErrors::new(ClerkError::new("down", "down", "It is down."));
    let mut failures = vec![
        Error::from(InvalidRequest::EmptySub),
        Error::from(ActorToken::from_json(b"{}").unwrap_err()),
    ];
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
    ] {
        for body in [ClerkErrors::default(), down()] {
            failures.push(Error::api(status, body.clone()));
            failures.push(Error::refused(status, body));
        }
    }
    let sandbox = Sandbox::new();
    let over = |sandbox: &Sandbox, key: KeySource| {
        let client = ClientBuilder::over(key, sandbox.transport());
        client.retry(RetryConfig::disabled()).build().unwrap()
    };
    let client = over(&sandbox, sandbox.secret_key().into());
    let request = || CreateActorToken::new("user_1", Actor::new("user_2"));
    for fault in [
        Fault::Status(StatusCode::FOUND),
        Fault::DisconnectAfter,
        Fault::HangAfter,
        Fault::Truncate(10),
        Fault::Body(Bytes::from_static(b"{}")),
    ] {
        sandbox.inject(fault);
        failures.push(client.create(request()).await.unwrap_err());
    }
    for status in ["pending", "accepted"] {
        let token = json!({"id": "act_1", "status": status}).to_string();
        sandbox.inject(Fault::Body(token.into()));
        failures.push(client.revoke("act_1").await.unwrap_err());
    }
    let token = client.create(request()).await.unwrap();
    client.revoke(token.id()).await.unwrap();
    failures.push(client.revoke(token.id()).await.unwrap_err());
    let without_key = over(&sandbox, KeySource::provider(NoKey));
    failures.push(without_key.create(request()).await.unwrap_err());
    let broken = Client::new(tower::service_fn(|_: ActorTokenRequest| async {
        Err(BoxError::from("marker"))
    }));
    failures.push(broken.create(request()).await.unwrap_err());
    failures
}

struct NoKey;

impl KeyProvider for NoKey {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        Err("the vault is sealed".into())
    }
}

#[tokio::test(start_paused = true)]
async fn failure_states_its_outcome_and_its_token_and_is_a_4xx_only_without_effect() {
    for (outcome, sentence) in [
        (Outcome::NotSent, "Nothing has changed."),
        (Outcome::Rejected, "Nothing has changed."),
        (Outcome::Unknown, "It may have taken effect."),
        (Outcome::Applied, "It has taken effect."),
    ] {
        let mut kinds = HashSet::new();
        for error in failures().await {
            kinds.insert(error.kind());
            let kind = error.kind();
            let id: ActorTokenId = "act_1".parse().unwrap();
            let error = error.with_outcome(outcome).with_actor_token_id(id);
            let (head, body) = error.to_response().into_parts();
            let status = head.status.as_u16();
            let body = body.collect().await.unwrap().to_bytes();
            let entry = &serde_json::from_slice::<Value>(&body).unwrap()["errors"][0];
            let case = format!("{error:?}: {status} {entry}");
            assert!(status >= 500 || outcome.is_without_effect(), "{case}");
            // A 422 describes the invalid field, an accepted token and a forwarded entry are the API's own.
            let text = entry["long_message"].as_str().unwrap();
            let is_of_the_api = error.clerk_errors().is_some_and(|it| it.code().is_some());
            let is_other = status == 422 || kind == ErrorKind::AlreadyAccepted || is_of_the_api;
            assert!(is_other || text.ends_with(sentence), "{case}");
            assert_eq!(entry["meta"]["actor_token_id"], "act_1", "{case}");
        }
        assert_eq!(kinds.len(), 12, "{kinds:?}");
    }
}

#[tokio::test]
async fn token_of_an_unusable_response_is_named_unless_it_is_of_another_user() {
    let sandbox = Sandbox::new();
    let of_another = r#"{"id":"act_7","user_id":"another","status":"pending","token":"eyJmarker"}"#;
    let without_user = r#"{"id":"act_7","status":"pending","token":"eyJmarker"}"#;
    for (body, named) in [(without_user, true), (of_another, false)] {
        sandbox.inject(Fault::Body(Bytes::from_static(body.as_bytes())));
        let response = send(gateway(&sandbox), create(BODY)).await;
        assert!(response.is(502, "bad_gateway"));
        let entry = &response.body["errors"][0];
        assert_eq!(entry["meta"]["actor_token_id"] == "act_7", named, "{body}");
        let text = response.body.to_string();
        assert_eq!(text.contains("act_7"), named, "{text}");
        assert!(!text.contains("marker"));
    }
}

#[tokio::test(start_paused = true)]
async fn token_of_an_incomplete_response_is_named_after_a_timeout() {
    let sandbox = Sandbox::new();
    let (after, time) = (120, Duration::from_secs(3600));
    sandbox.inject(Fault::Pause { after, time });
    let response = send(gateway(&sandbox), create(BODY)).await;
    assert!(response.is(504, "gateway_timeout"));
    let error = &response.body["errors"][0];
    let minted = sandbox.ledger().minted().next().unwrap().id().to_string();
    assert_eq!(error["meta"]["actor_token_id"], minted);
    assert_eq!(
        error["long_message"],
        "The service took too long. It has taken effect."
    );
}

#[tokio::test(start_paused = true)]
async fn timeout_before_anything_was_sent_states_that_nothing_has_changed() {
    // Still connecting when the timeout expires.
    let connecting = tower::service_fn(|request: Request<Body>| async move {
        let _not_taken = request;
        std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>().await
    });
    let client = ClientBuilder::over(key(), connecting).build().unwrap();
    let response = send(ActorTokensApi::new(client, key()).unwrap(), create(BODY)).await;
    assert!(response.is(504, "gateway_timeout"));
    assert_eq!(
        response.body["errors"][0]["long_message"],
        "The service took too long. Nothing has changed."
    );
}

#[tokio::test]
async fn error_of_a_guard_in_a_client_is_forwarded() {
    let sandbox = Sandbox::new();
    let refuse = |_: ActorTokenRequest| {
        let why = ClerkError::new("operator_missing", "no operator", "Name the operator.");
        Err::<ActorTokenRequest, _>(Error::api(StatusCode::FORBIDDEN, ClerkErrors::new(why)))
    };
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(refuse))
        .build()
        .unwrap();
    let response = send(ActorTokensApi::new(client, key()).unwrap(), create(BODY)).await;
    assert!(response.is(403, "operator_missing"));
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test]
async fn foreign_error_in_a_client_before_anything_was_sent_is_a_503() {
    let sandbox = Sandbox::new();
    let refuse = |_: ActorTokenRequest| Err::<ActorTokenRequest, _>("marker: the pool is empty");
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(refuse))
        .build()
        .unwrap();
    let response = send(ActorTokensApi::new(client, key()).unwrap(), create(BODY)).await;
    assert!(response.is(503, "service_unavailable"));
    let text = response.body.to_string();
    assert!(
        text.contains("Nothing has changed.") && !text.contains("marker"),
        "{text}"
    );
}

#[tokio::test]
async fn revoke_whose_200_says_accepted_is_a_400() {
    let transport = tower::service_fn(|request: Request<Body>| async {
        request.into_body().into_bytes()?;
        let body = r#"{"id":"act_1","status":"accepted"}"#;
        Ok::<_, BoxError>(Response::new(body.to_owned()))
    });
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport);
    let api = ActorTokensApi::new(client.build().unwrap(), key()).unwrap();
    let response = send(api, post(REVOKE, &[AUTH], "")).await;
    assert!(response.is(400, "actor_token_cannot_be_revoked_code"));
}

#[tokio::test]
async fn response_body_ends_with_its_only_frame() {
    let error = Error::refused(StatusCode::FORBIDDEN, ClerkErrors::default());
    let mut body = error.to_response().into_body();
    assert!(!body.is_end_stream());
    assert!(body.frame().await.is_some());
    assert!(body.is_end_stream());
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
    let response = send(ActorTokensApi::new(client, key()).unwrap(), create(BODY)).await;
    assert!(response.is(422, "form_param_value_invalid"));
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
    let response = send(ActorTokensApi::new(client, key()).unwrap(), create(BODY)).await;
    assert!(response.is(502, "bad_gateway"));
    assert!(!response.body.to_string().contains("marker"));
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
    let response = send(ActorTokensApi::new(client, key()).unwrap(), create(BODY)).await;
    assert!(response.is(503, "service_unavailable"));
}

#[tokio::test(start_paused = true)]
async fn status_4xx_after_an_attempt_with_unknown_outcome_becomes_a_502() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .build()
        .unwrap();
    sandbox.inject(Fault::DisconnectBefore);
    sandbox.inject(Fault::Status(StatusCode::FORBIDDEN));
    let response = send(
        ActorTokensApi::new(client, key()).unwrap(),
        post(REVOKE, &[AUTH], ""),
    )
    .await;
    assert!(response.is(502, "bad_gateway"));
}

#[tokio::test]
async fn client_over_a_gateway_gets_the_same_results_as_over_the_api() {
    let sandbox = Sandbox::new().known_users(["user_1"]);
    let client = ClientBuilder::over(key(), gateway(&sandbox))
        .build()
        .unwrap();
    let actor = Actor::new("user_2").claim("reason", "ticket 4711");
    let lifetime = Duration::from_secs(300);
    let create = |user: &str| CreateActorToken::new(user, actor.clone()).expires_in(lifetime);

    let token = client.create(create("user_1")).await.unwrap();
    assert_eq!(token.actor(), Some(&actor));
    assert_eq!(
        token.expires_at(),
        token.created_at().map(|at: SystemTime| at + lifetime)
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

/// Panics if it is called before it is polled ready. A clone starts unready.
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
        assert!(
            std::mem::take(&mut self.is_ready),
            "called before it was ready"
        );
        let Operation::Revoke(id) = request.operation() else {
            panic!("only revokes are sent")
        };
        let token = ActorToken::new(id.clone(), ActorTokenStatus::Revoked);
        std::future::ready(Ok(token))
    }
}

#[tokio::test]
async fn instance_polled_ready_is_called_and_refused_request_clones_none() {
    let service = Strict::default();
    let clones = Arc::clone(&service.clones);
    let mut api = ActorTokensApi::new(service, key()).unwrap();
    let Ok(refused) = api.call(post(REVOKE, &[], "")).await;
    assert_eq!(
        (refused.status().as_u16(), *clones.lock().unwrap()),
        (401, 0)
    );
    for _ in 0..2 {
        let Ok(response) = api.call(post(REVOKE, &[AUTH], "")).await;
        assert_eq!(response.status(), 200);
    }
    assert_eq!(*clones.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn token_of_a_dropped_request_is_revoked_and_a_returned_token_is_not() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .build()
        .unwrap();
    let api = ActorTokensApi::new(client.clone(), key()).unwrap();
    let body = r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#;
    assert_eq!(send(api.clone(), create(body)).await.status, 200);

    sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let gone = tokio::time::timeout(Duration::from_secs(1), send(api, create(body)));
    assert!(gone.await.is_err());
    let report = client.drain(Duration::from_secs(60)).await;
    assert_eq!((report.is_complete(), report.counts().revoked), (true, 1));
    let ledger = sandbox.ledger();
    assert_eq!((ledger.minted().len(), ledger.pending().count()), (2, 1));
}
