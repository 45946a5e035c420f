//! A live impersonation is found by its actor and ended; a failure says which sessions may still be live.
//! Long, because a promise has one file.
#![cfg(feature = "sessions")]

mod support {
    pub(crate) mod marked;
    pub(crate) mod response;
    pub(crate) mod schema;
    pub(crate) mod scripted;
    pub(crate) mod search;
    pub(crate) mod shown;
}

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, ActorTokenStatus, Body, BoxError, Client, ClientBuilder,
    CreateActorToken, EndImpersonationError, Error, ErrorKind, Lease, OperationKind, Outcome,
    Payload, RetryConfig, SecretKey, Session,
    client::{CustomTransport, Layers, Transport},
    layer::SettleLayer,
    sandbox::{Fault, Sandbox, SandboxTransport},
};
use futures_util::poll;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{
    response::{FullResponse, response},
    schema::OpenApi,
    scripted::Scripted,
    search,
    shown::shown,
};
use tower::{ServiceExt, filter::FilterLayer, layer::util::Identity, util::MapRequestLayer};

const S: Duration = Duration::from_secs(1);

fn over<T: Transport>(transport: T) -> ClientBuilder<Layers, CustomTransport<T>> {
    ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
}

fn builder(sandbox: &Sandbox) -> ClientBuilder<Layers, CustomTransport<SandboxTransport>> {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
}

fn client(sandbox: &Sandbox) -> Client {
    builder(sandbox).build().unwrap()
}

/// Returns a client that does not retry.
fn unretried(sandbox: &Sandbox) -> Client {
    let builder = builder(sandbox).retry(RetryConfig::disabled());
    builder.build().unwrap()
}

fn create(user: &str, actor: &str) -> CreateActorToken {
    CreateActorToken::new(user, Actor::new(actor)).expires_in(300 * S)
}

/// Begins an impersonation, without a request over the wire.
async fn begin(sandbox: &Sandbox, create: CreateActorToken) {
    let token = sandbox.clone().oneshot(create.into()).await.unwrap();
    sandbox.accept(token.expose_url().unwrap()).unwrap();
}

/// Returns the actors of the live sessions.
fn live(sandbox: &Sandbox) -> Vec<String> {
    let ledger = sandbox.ledger();
    let actors = ledger.live_sessions().map(|entry| entry.actor().sub());
    actors.map(str::to_owned).collect()
}

fn subs(sessions: &[Session]) -> Vec<&str> {
    sessions.iter().map(|it| it.actor().sub()).collect()
}

fn any(_: &Session) -> bool {
    true
}

fn session(id: &str, status: &str) -> Value {
    json!({
        "object": "session", "id": id, "user_id": "user_1", "client_id": "client_1",
        "actor": {"sub": "admin"}, "status": status, "created_at": 2000, "expire_at": 5000,
        "last_active_at": 3000, "abandon_at": 5000, "updated_at": 3000, "tasks": null,
    })
}

fn page(sessions: impl IntoIterator<Item = Value>) -> FullResponse {
    let sessions: Value = sessions.into_iter().collect();
    response(200, &[], sessions.to_string())
}

/// Returns the error of a call that ended nothing.
#[track_caller]
fn nothing_ended(result: Result<Vec<Session>, EndImpersonationError>) -> Error {
    match result.unwrap_err() {
        EndImpersonationError::NothingEnded(error) => error,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn live_impersonations_that_the_filter_chooses_are_ended() {
    let sandbox = Sandbox::new();
    for (user, actor) in [
        ("user_1", "jo"),
        ("user_1", "kim"),
        ("user_1", "jo"),
        ("user_2", "jo"),
    ] {
        begin(&sandbox, create(user, actor)).await;
    }
    let client = client(&sandbox);
    let ended = client
        .end_impersonation("user_1", |it| it.actor().sub() == "jo")
        .await;
    let ended = ended.unwrap();
    assert_eq!(subs(&ended), ["jo", "jo"]);
    assert!(
        ended
            .iter()
            .all(|it| !it.is_live() && it.user_id() == "user_1")
    );
    assert_eq!(live(&sandbox), ["kim", "jo"]);
    assert_eq!(sandbox.requests(), 3);

    // A session that is over is not passed to the filter.
    let seen = client
        .end_impersonation("user_1", |it| it.actor().sub() == "jo")
        .await;
    assert_eq!(seen.unwrap(), []);
    assert_eq!(sandbox.requests(), 4);
}

#[tokio::test(start_paused = true)]
async fn impersonations_are_listed_with_every_status_newest_first() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox);
    begin(&sandbox, create("user_1", "jo")).await;
    client.end_impersonation("user_1", any).await.unwrap();
    tokio::time::advance(S).await;
    let kim = Actor::new("kim").claim("ticket", 4711);
    begin(&sandbox, CreateActorToken::new("user_1", kim.clone())).await;
    let all = client.impersonations("user_1").await.unwrap();
    assert_eq!(subs(&all), ["kim", "jo"]);
    assert_eq!([all[0].status(), all[1].status()], ["active", "revoked"]);
    assert_eq!(all[0].actor(), &kim);
    let lifetime = all[0]
        .expires_at()
        .unwrap()
        .duration_since(all[0].created_at().unwrap());
    assert_eq!(lifetime.unwrap(), 1800 * S);
    assert_eq!(all[0].last_active_at(), all[0].created_at());
    assert_eq!(client.impersonations("user_2").await.unwrap(), []);
}

#[tokio::test]
async fn requests_are_those_of_the_api_description() {
    let transport = Scripted::new([
        page([session("sess_1", "active")]),
        response(200, &[], session("sess_1", "revoked").to_string()),
    ]);
    let client = over(transport.clone()).build().unwrap();
    let subject = "user 1&status=ü";
    let mut first = session("sess_1", "active");
    first["user_id"] = subject.into();
    let other = Scripted::new([page([first]), response(200, &[], r#"{"id":"sess_1"}"#)]);
    let odd = over(other.clone()).build().unwrap();
    odd.end_impersonation(subject, any).await.unwrap();
    let query = other.sent()[0].uri().query().unwrap().to_owned();
    assert_eq!(query, "user_id=user+1%26status%3D%C3%BC&limit=100&offset=0");

    client.end_impersonation("user_1", any).await.unwrap();
    let sent = transport.sent();
    let uri = "https://api.clerk.com/v1/sessions?user_id=user_1&limit=100&offset=0";
    assert_eq!(
        (sent[0].method(), &*sent[0].uri().to_string()),
        (&Method::GET, uri)
    );
    let uri = "https://api.clerk.com/v1/sessions/sess_1/revoke";
    assert_eq!(
        (sent[1].method(), &*sent[1].uri().to_string()),
        (&Method::POST, uri)
    );
    for request in sent {
        assert_eq!(request.headers()["authorization"], "Bearer sk_test_1");
        assert_eq!(request.headers()["clerk-api-version"], "2026-05-12");
        assert!(request.body().is_empty());
    }
}

#[tokio::test]
async fn pending_session_is_ended_and_the_users_own_session_goes_on() {
    let mut own = session("sess_own", "active");
    own["actor"] = Value::Null;
    let over_ = [
        "abandoned",
        "ended",
        "expired",
        "removed",
        "replaced",
        "revoked",
    ];
    let over_ = over_.map(|status| session(&format!("sess_{status}"), status));
    let live = ["pending", "active", "a_new_word"];
    let listed = live.map(|status| session(&format!("sess_{status}"), status));
    let ends = live.map(|status| response(200, &[], format!(r#"{{"id":"sess_{status}"}}"#)));
    let listed = page(listed.into_iter().chain([own]).chain(over_));
    let transport = Scripted::new([listed].into_iter().chain(ends));
    let client = over(transport.clone()).build().unwrap();
    let ended = client.end_impersonation("user_1", any).await.unwrap();
    let ids: Vec<_> = ended.iter().map(Session::id).collect();
    assert_eq!(ids, ["sess_pending", "sess_active", "sess_a_new_word"]);
    assert_eq!(transport.sent().len(), 4);
}

#[tokio::test]
async fn sessions_of_all_pages_are_ended() {
    let sandbox = Sandbox::new();
    for _ in 0..203 {
        begin(&sandbox, create("user_1", "jo")).await;
    }
    let client = unretried(&sandbox);
    let ended = client.end_impersonation("user_1", any).await.unwrap();
    assert_eq!((ended.len(), live(&sandbox).len()), (203, 0));
    assert_eq!(sandbox.requests(), 3 + 203);
}

#[tokio::test]
async fn session_that_begins_between_two_pages_hides_no_other() {
    let id = |number| session(&format!("sess_{number}"), "active");
    let transport = Scripted::new([page((0..100).map(id)), page([id(99), id(100)])]);
    let client = over(transport.clone()).build().unwrap();
    assert_eq!(client.impersonations("user_1").await.unwrap().len(), 101);
    assert!(
        transport.sent()[1]
            .uri()
            .query()
            .unwrap()
            .ends_with("offset=100")
    );
}

#[tokio::test]
async fn listing_that_cannot_be_complete_or_is_of_others_ends_nothing() {
    let full = || page((0..100).map(|number| session(&format!("sess_{number}"), "active")));
    let mut foreign = session("sess_2", "active");
    foreign["user_id"] = "user_2".into();
    let mut nameless = session("sess_2", "active");
    nameless["actor"] = json!({"name": "jo"});
    let once = |response: FullResponse| Scripted::new([response]);
    for (transport, detail) in [
        (
            Scripted::new([full(), full()]),
            "a page of sessions was repeated",
        ),
        (
            once(page([session("sess_1", "active"), foreign])),
            "a session is of another user",
        ),
        (
            once(page([session("sess_1", "active"), nameless])),
            "is not a list of sessions",
        ),
        (
            once(page([session("../users", "active")])),
            "is not a list of sessions",
        ),
        (once(response(200, &[], "{}")), "is not a list of sessions"),
        (once(response(200, &[], "")), "is not a list of sessions"),
    ] {
        let client = over(transport)
            .retry(RetryConfig::disabled())
            .build()
            .unwrap();
        let error = nothing_ended(client.end_impersonation("user_1", any).await);
        assert_eq!(error.kind(), ErrorKind::UnreadableResponse);
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert!(error.to_string().contains(detail), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_operations_are_retried_like_a_revoke() {
    for fault in [
        Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
        Fault::StatusAfter(StatusCode::BAD_GATEWAY),
        Fault::Status(StatusCode::REQUEST_TIMEOUT),
        Fault::RateLimited { retry_after: S },
        Fault::DisconnectBefore,
        Fault::DisconnectAfter,
        Fault::HangBefore,
        Fault::HangAfter,
        Fault::Truncate(9),
        Fault::Body("<html>".into()),
        Fault::Html(StatusCode::BAD_GATEWAY),
    ] {
        let sandbox = Sandbox::new();
        begin(&sandbox, create("user_1", "jo")).await;
        let client = builder(&sandbox).attempt_timeout(2 * S).build().unwrap();
        for fault in [Fault::Delay(Duration::ZERO), fault.clone()] {
            sandbox.inject(fault);
        }
        // The end fails once, then the listing of a second call.
        let ended = client.end_impersonation("user_1", any).await.unwrap();
        assert_eq!(
            (subs(&ended), sandbox.requests()),
            (vec!["jo"], 3),
            "{fault:?}"
        );
        assert_eq!(live(&sandbox), [""; 0]);
        sandbox.inject(fault.clone());
        assert_eq!(client.end_impersonation("user_1", any).await.unwrap(), []);
        assert_eq!(sandbox.requests(), 5, "{fault:?}");
    }
}

fn status(code: u16) -> Fault {
    Fault::Status(StatusCode::from_u16(code).unwrap())
}

#[tokio::test(start_paused = true)]
async fn outcome_of_a_listing_that_failed_is_without_effect() {
    for (fault, kind) in [
        (status(401), ErrorKind::Api),
        (status(503), ErrorKind::Api),
        (Fault::DisconnectAfter, ErrorKind::Transport),
        (Fault::HangAfter, ErrorKind::Timeout),
        (Fault::Truncate(9), ErrorKind::UnreadableResponse),
        (Fault::Body("[{}]".into()), ErrorKind::UnreadableResponse),
    ] {
        let sandbox = Sandbox::new();
        begin(&sandbox, create("user_1", "jo")).await;
        let client = unretried(&sandbox);
        sandbox.inject(fault.clone());
        let error = nothing_ended(client.end_impersonation("user_1", any).await);
        assert_eq!(
            (error.kind(), error.outcome()),
            (kind, Outcome::Rejected),
            "{fault:?} {error}"
        );
        assert_eq!(error.attempts(), 1);
        assert!(!error.to_string().contains("taken effect"), "{error}");
        assert_eq!(live(&sandbox), ["jo"]);
    }
    let sandbox = Sandbox::new();
    let client = client(&sandbox);
    for subject in ["", " "] {
        let error = nothing_ended(client.end_impersonation(subject, any).await);
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::InvalidRequest, Outcome::NotSent)
        );
    }
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn session_that_could_not_be_ended_is_returned_with_its_outcome() {
    for (fault, kind, outcome) in [
        (status(400), ErrorKind::Api, Outcome::Rejected),
        (status(404), ErrorKind::Api, Outcome::Rejected),
        (status(500), ErrorKind::Api, Outcome::Unknown),
        (
            Fault::DisconnectBefore,
            ErrorKind::Transport,
            Outcome::Unknown,
        ),
        (Fault::HangBefore, ErrorKind::Timeout, Outcome::Unknown),
    ] {
        let sandbox = Sandbox::new();
        begin(&sandbox, create("user_1", "jo")).await;
        tokio::time::advance(S).await;
        begin(&sandbox, create("user_1", "kim")).await;
        let client = unretried(&sandbox);
        sandbox.inject(Fault::Delay(Duration::ZERO));
        sandbox.inject(fault.clone());
        let error = client.end_impersonation("user_1", any).await.unwrap_err();
        let text = error.to_string();
        let EndImpersonationError::NotAllEnded { ended, failed } = error else {
            panic!("{error:?}");
        };
        // The first failure does not keep the second session from being ended.
        assert_eq!((subs(&ended), ended[0].status()), (vec!["jo"], "revoked"));
        let [(session, error)] = &failed[..] else {
            panic!("{failed:?}");
        };
        assert_eq!((session.actor().sub(), session.is_live()), ("kim", true));
        assert_eq!(
            (error.kind(), error.outcome()),
            (kind, outcome),
            "{fault:?}"
        );
        let start = format!("1 of 2 sessions may still be live: {}: ", session.id());
        assert_eq!(text, format!("{start}{error}"));
        assert_eq!(live(&sandbox), ["kim"]);
        // The list, two ends, and the list after the failure.
        assert_eq!(sandbox.requests(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn failed_end_of_a_session_that_is_not_live_any_more_is_success() {
    for fault in [
        Fault::StatusAfter(StatusCode::NOT_FOUND),
        Fault::StatusAfter(StatusCode::BAD_GATEWAY),
        Fault::DisconnectAfter,
        Fault::HangAfter,
        Fault::Body("[]".into()),
    ] {
        let sandbox = Sandbox::new();
        begin(&sandbox, create("user_1", "jo")).await;
        let client = unretried(&sandbox);
        sandbox.inject(Fault::Delay(Duration::ZERO));
        sandbox.inject(fault.clone());
        let ended = client.end_impersonation("user_1", any).await.unwrap();
        assert_eq!(
            (subs(&ended), sandbox.requests()),
            (vec!["jo"], 3),
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn status_200_without_an_ended_session_is_tried_again() {
    let listed = || page([session("sess_1", "active")]);
    let still = |status| response(200, &[], session("sess_1", status).to_string());
    let other = || response(200, &[], session("sess_2", "revoked").to_string());
    let transport = Scripted::new([listed(), still("active"), other(), still("ended")]);
    let client = over(transport.clone()).build().unwrap();
    assert_eq!(
        client.end_impersonation("user_1", any).await.unwrap().len(),
        1
    );
    assert_eq!(transport.sent().len(), 4);

    let transport = Scripted::new([listed(), still("pending"), listed()]);
    let client = over(transport)
        .retry(RetryConfig::disabled())
        .build()
        .unwrap();
    let error = client.end_impersonation("user_1", any).await.unwrap_err();
    let EndImpersonationError::NotAllEnded { failed, .. } = error else {
        panic!("{error:?}");
    };
    let error = &failed[0].1;
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::NotRevoked, Outcome::Rejected)
    );
    assert_eq!(
        error.to_string(),
        "the API revoked nothing: it responded with 200 OK: the status of the session is pending"
    );
}

#[tokio::test(start_paused = true)]
async fn each_call_has_the_timeout_of_the_client() {
    let sandbox = Sandbox::new();
    begin(&sandbox, create("user_1", "jo")).await;
    let client = builder(&sandbox).call_timeout(5 * S).build().unwrap();
    let begun = tokio::time::Instant::now();
    let delayed = Fault::DelayAfter(4 * S);
    sandbox.inject(delayed.clone());
    sandbox.inject(delayed);
    client.end_impersonation("user_1", any).await.unwrap();
    assert_eq!(begun.elapsed(), 8 * S);

    sandbox.inject(Fault::HangBefore);
    let error = nothing_ended(client.end_impersonation("user_1", any).await);
    assert_eq!(
        (error.kind(), begun.elapsed()),
        (ErrorKind::Timeout, 13 * S)
    );
    assert!(error.to_string().contains("took longer than 5s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn dropped_call_ends_no_further_session() {
    let sandbox = Sandbox::new();
    for actor in ["jo", "kim"] {
        begin(&sandbox, create("user_1", actor)).await;
    }
    let client = client(&sandbox);
    sandbox.inject(Fault::Delay(Duration::ZERO));
    sandbox.inject(Fault::HangBefore);
    {
        let mut ending = Box::pin(client.end_impersonation("user_1", any));
        assert!(poll!(&mut ending).is_pending());
        tokio::time::advance(S).await;
        assert!(poll!(&mut ending).is_pending());
    }
    tokio::time::advance(100 * S).await;
    assert_eq!((live(&sandbox).len(), sandbox.requests()), (2, 2));
}

#[tokio::test]
async fn requests_pass_the_attempt_and_wire_layers_and_not_settling() {
    let sandbox = Sandbox::new();
    begin(&sandbox, create("user_1", "jo")).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (attempts, wire) = (Arc::clone(&seen), Arc::clone(&seen));
    let client = builder(&sandbox)
        .settle(SettleLayer::new().max_creates(0))
        .attempt_layer(MapRequestLayer::new(move |request: Request<Payload>| {
            attempts
                .lock()
                .unwrap()
                .push(("attempt", request.body().kind()));
            request
        }))
        .wire_layer(MapRequestLayer::new(move |request: Request<Body>| {
            wire.lock().unwrap().push(("wire", request.body().kind()));
            request
        }));
    // A wrapped client has the sessions of the inner one.
    let client = client.build().unwrap().wrap(Identity::new());
    client.end_impersonation("user_1", any).await.unwrap();
    let (list, end) = (OperationKind::ListSessions, OperationKind::EndSession);
    let expected = [
        ("attempt", list),
        ("wire", list),
        ("attempt", end),
        ("wire", end),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(
        [list.as_str(), end.as_str()],
        ["list_sessions", "end_session"]
    );
}

#[tokio::test]
async fn clone_of_a_request_cannot_be_sent_after_its_call_failed() {
    let sandbox = Sandbox::new();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let refuse = FilterLayer::new(move |request: Request<Payload>| {
        keep.lock().unwrap().push(request.body().clone());
        Err::<Request<Payload>, _>(BoxError::from("refused"))
    });
    let client = builder(&sandbox).attempt_layer(refuse).build().unwrap();
    let error = nothing_ended(client.end_impersonation("user_1", any).await);
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Foreign, Outcome::NotSent)
    );
    let kept = std::mem::take(&mut *kept.lock().unwrap());
    assert!(!kept.is_empty());
    for payload in kept {
        assert!(payload.begin_attempt().into_bytes().is_err());
    }
}

#[tokio::test]
async fn client_over_a_service_has_no_sessions() {
    let client = Client::new(Sandbox::new());
    let error = nothing_ended(client.end_impersonation("user_1", any).await);
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::InvalidRequest, Outcome::NotSent)
    );
    assert!(error.is_permanent());
}

#[test]
fn call_outside_of_a_runtime_is_an_error() {
    let sandbox = Sandbox::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let client = runtime.block_on(async { client(&sandbox) });
    let mut call = Box::pin(client.impersonations("user_1"));
    let waker = std::task::Waker::noop();
    let std::task::Poll::Ready(result) = call
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker))
    else {
        panic!("pending");
    };
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Runtime);
}

#[tokio::test]
async fn sandbox_checks_key_and_parameters_of_both_operations() {
    let sandbox = Sandbox::new();
    begin(&sandbox, create("user_1", "jo")).await;
    let id = sandbox
        .ledger()
        .minted()
        .next()
        .unwrap()
        .session()
        .unwrap()
        .id()
        .to_owned();
    let send = async |method: &str, path: &str, key: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {key}"));
        let request = request.body(String::new()).unwrap();
        sandbox
            .transport()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let key = "sk_test_sandbox";
    for (method, path, key, status) in [
        ("GET", "/v1/sessions?user_id=user_1", "sk_test_other", 401),
        (
            "POST",
            &*format!("/v1/sessions/{id}/revoke"),
            "sk_test_other",
            401,
        ),
        ("GET", "/v1/sessions", key, 422),
        ("GET", "/v1/sessions?user_id=user_1&limit=0", key, 422),
        ("GET", "/v1/sessions?user_id=user_1&limit=501", key, 422),
        ("GET", "/v1/sessions?user_id=user_1&offset=-1", key, 422),
        (
            "GET",
            "/v1/sessions?user_id=user_1&__clerk_api_version=1",
            key,
            400,
        ),
        (
            "GET",
            "/v1/sessions?user_id=%75ser_1&status=active",
            key,
            200,
        ),
        ("POST", "/v1/sessions/sess_1/revoke", key, 404),
        ("POST", "/v1/sessions", key, 404),
        ("GET", "/v1/sessions/sess_1/revoke", key, 404),
        ("POST", &*format!("/v1/sessions/{id}/revoke"), key, 200),
        ("POST", &*format!("/v1/sessions/{id}/revoke"), key, 200),
    ] {
        assert_eq!(send(method, path, key).await, status, "{method} {path}");
    }
    assert_eq!(live(&sandbox), [""; 0]);
}

#[tokio::test]
async fn sandbox_responds_as_the_api_describes() {
    let (api, sandbox) = (OpenApi::load(), Sandbox::new());
    begin(&sandbox, create("user_1", "jo")).await;
    let send = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", "Bearer sk_test_sandbox");
        let request = request.body(String::new()).unwrap();
        let response = sandbox.transport().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let listed = send(Method::GET, "/v1/sessions?user_id=user_1").await;
    let schema = api.response_schema("/sessions", 200);
    assert_eq!(api.check(&schema, &listed), Ok(()));
    let revoke = |id: &str| format!("/v1/sessions/{id}/revoke");
    let described = "/sessions/{session_id}/revoke";
    api.check_operation(described, &Method::POST);
    let ended = send(Method::POST, &revoke(listed[0]["id"].as_str().unwrap())).await;
    let schema = api.response_schema(described, 200);
    assert_eq!(api.check(&schema, &ended), Ok(()));
    let unknown = send(Method::POST, &revoke("sess_1")).await;
    let schema = api.response_schema(described, 404);
    assert_eq!(api.check(&schema, &unknown), Ok(()));
}

#[tokio::test]
async fn parameters_of_a_listing_are_described() {
    let sandbox = Sandbox::new();
    let seen = Arc::new(Mutex::new(String::new()));
    let query = Arc::clone(&seen);
    let client = builder(&sandbox).wire_layer(MapRequestLayer::new(move |it: Request<Body>| {
        *query.lock().unwrap() = it.uri().query().unwrap().to_owned();
        it
    }));
    client
        .build()
        .unwrap()
        .impersonations("user_1")
        .await
        .unwrap();
    let described = OpenApi::load().operation("/sessions")["parameters"].clone();
    let query = seen.lock().unwrap().clone();
    for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap()) {
        let mut all = described.as_array().unwrap().iter();
        let parameter = all
            .find(|it| it["name"] == name && it["in"] == "query")
            .unwrap();
        let number = value.parse().unwrap_or(0);
        let range = &parameter["schema"];
        assert!(
            range["minimum"]
                .as_u64()
                .is_none_or(|least| least <= number),
            "{name}"
        );
        assert!(
            range["maximum"].as_u64().is_none_or(|most| number <= most),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn session_of_the_sandbox_expires() {
    let sandbox = Sandbox::new();
    begin(
        &sandbox,
        create("user_1", "jo").session_max_duration(60 * S),
    )
    .await;
    let client = client(&sandbox);
    tokio::time::advance(59 * S).await;
    assert_eq!(live(&sandbox), ["jo"]);
    tokio::time::advance(S).await;
    assert_eq!(live(&sandbox), [""; 0]);
    assert_eq!(client.end_impersonation("user_1", any).await.unwrap(), []);
    assert_eq!(
        client.impersonations("user_1").await.unwrap()[0].status(),
        "expired"
    );
}

#[tokio::test]
async fn lease_of_an_unused_token_is_revoked_without_a_listing() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox);
    let lease = client.lease(create("user_1", "jo")).await.unwrap();
    assert_eq!(lease.end_session().await.unwrap(), []);
    assert_eq!(
        (sandbox.ledger().revoked().count(), sandbox.requests()),
        (1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn lease_of_a_used_token_ends_the_session_that_its_actor_began() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox);
    // An earlier session of the same actor, and one of another actor.
    begin(&sandbox, create("user_1", "jo")).await;
    tokio::time::advance(11 * S).await;
    begin(&sandbox, create("user_1", "kim")).await;
    let lease = client.lease(create("user_1", "jo")).await.unwrap();
    sandbox.accept(lease.token().expose_url().unwrap()).unwrap();
    assert_eq!(live(&sandbox), ["jo", "kim", "jo"]);
    let ended = lease.end_session().await.unwrap();
    assert_eq!(subs(&ended), ["jo"]);
    assert_eq!(live(&sandbox), ["jo", "kim"]);
    let report = client.drain(S).await;
    assert_eq!((report.is_complete(), report.counts().accepted), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn claims_distinguish_leases_of_the_same_actor_and_user() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox);
    let mut leases = Vec::new();
    for ticket in [1, 2] {
        let actor = Actor::new("jo").claim("ticket", ticket);
        let lease = client
            .lease(CreateActorToken::new("user_1", actor))
            .await
            .unwrap();
        sandbox.accept(lease.token().expose_url().unwrap()).unwrap();
        leases.push(lease);
    }
    let ended = leases.remove(1).end_session().await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].actor().claims()["ticket"], 2);
    assert_eq!(live(&sandbox), ["jo"]);
    // Also a token that was used before it expired.
    tokio::time::advance(4000 * S).await;
    begin(&sandbox, create("user_1", "kim")).await;
    assert_eq!(leases.remove(0).end_session().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn lease_of_an_expired_token_ends_its_session() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox);
    let lease = client.lease(create("user_1", "jo")).await.unwrap();
    sandbox.accept(lease.token().expose_url().unwrap()).unwrap();
    tokio::time::advance(301 * S).await;
    assert_eq!(subs(&lease.end_session().await.unwrap()), ["jo"]);
    assert_eq!(live(&sandbox), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn lease_that_could_not_be_revoked_returns_the_error_and_is_settled() {
    let sandbox = Sandbox::new();
    let client = unretried(&sandbox);
    let lease = client.lease(create("user_1", "jo")).await.unwrap();
    sandbox.inject(Fault::DisconnectBefore);
    let error = nothing_ended(lease.end_session().await);
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(client.drain(60 * S).await.counts().revoked, 1);
    let statuses: Vec<_> = sandbox
        .ledger()
        .minted()
        .map(|it| it.status().clone())
        .collect();
    assert_eq!(statuses, [ActorTokenStatus::Revoked]);
}

#[tokio::test]
async fn lease_ends_its_session_where_its_create_was_sent() {
    let minted = r#"{"id":"act_1","user_id":"user_1","actor":{"sub":"admin"},"status":"pending","token":"t","created_at":12000}"#;
    let accepted = r#"{"errors":[{"code":"actor_token_cannot_be_revoked_code","message":"its status is accepted."}]}"#;
    let transport = Scripted::new([
        response(200, &[], minted),
        response(400, &[], accepted),
        page([session("sess_1", "active")]),
        response(200, &[], r#"{"id":"sess_1","status":"revoked"}"#),
    ]);
    let client = over(transport.clone()).build().unwrap();
    let request = ActorTokenRequest::create(create("user_1", "admin"))
        .base_url("https://api.clerk.com/other/v1")
        .header("x-request-id", "4711");
    let lease = client.lease(request).await.unwrap();
    lease.token().ticket().unwrap().claim();
    assert_eq!(lease.end_session().await.unwrap().len(), 1);
    for request in transport.sent() {
        assert!(
            request.uri().path().starts_with("/other/v1/"),
            "{}",
            request.uri()
        );
        assert_eq!(request.headers()["x-request-id"], "4711");
    }
}

#[test]
fn neither_logs_nor_errors_nor_debug_show_a_user_an_actor_or_a_response() {
    let marked = |status: &str| {
        let mut session = session("sess_1", status);
        session["user_id"] = "user_MARKER".into();
        session["actor"] = json!({"sub": "MARKER", "MARKED": "MARKER"});
        session["client_id"] = "MARKER".into();
        session["latest_activity"] = json!({"ip_address": "MARKER"});
        session
    };
    let failed = |status| response(status, &[], r#"{"errors":[{"code":"down"}]}"#);
    for (last, is_ended) in [
        (
            vec![response(200, &[], marked("revoked").to_string())],
            true,
        ),
        (
            vec![
                response(200, &[], r#"{"id":"MARKER","status":"MARKER"}"#),
                failed(500),
            ],
            false,
        ),
        (vec![failed(403), page([marked("active")])], false),
    ] {
        let first = page([marked("active")]);
        let transport = Scripted::new([first].into_iter().chain(last));
        let client = ClientBuilder::over(support::marked::key(), transport);
        let client = client.retry(RetryConfig::disabled()).build().unwrap();
        let (result, leaks) = search::during(|| {
            block_on(client.end_impersonation("user_MARKER", |session| {
                support::marked::assert_debug_hidden(session);
                session.actor().sub() == "MARKER"
            }))
        });
        assert!(leaks.is_empty(), "{leaks:?}");
        support::marked::assert_debug_hidden(&client);
        assert_eq!(result.is_ok(), is_ended);
        match result {
            Ok(ended) => support::marked::assert_debug_hidden(&ended),
            Err(error) => support::marked::assert_text_hidden(&shown(&error)),
        }
    }
    for body in [
        r#"[{"id":"MARKER"}]"#,
        r#"{"MARKER":"MARKER"}"#,
        r#"["MARKER"]"#,
        "MARKER",
    ] {
        let client = ClientBuilder::over(
            support::marked::key(),
            Scripted::new([response(200, &[], body)]),
        );
        let client = client.retry(RetryConfig::disabled()).build().unwrap();
        let (result, leaks) = search::during(|| block_on(client.impersonations("user_MARKER")));
        assert!(leaks.is_empty(), "{leaks:?}");
        support::marked::assert_text_hidden(&shown(&result.unwrap_err()));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[cfg(feature = "transport")]
#[test]
fn impersonation_is_ended_over_tcp_and_no_log_shows_the_user() {
    let (ended, leaks) = search::during(|| {
        block_on(async {
            let sandbox = Sandbox::new();
            let server = sandbox.spawn().await.unwrap();
            begin(&sandbox, create("user_MARKER", "MARKER")).await;
            let client = Client::builder(sandbox.secret_key()).base_url(server.base_url());
            let client = client.build().unwrap();
            let ended = client.end_impersonation("user_MARKER", any).await.unwrap();
            assert_eq!(live(&sandbox), [""; 0]);
            ended.len()
        })
    });
    assert_eq!(ended, 1);
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[cfg(feature = "blocking")]
#[test]
fn blocking_client_lists_and_ends_impersonations() {
    let sandbox = Sandbox::new();
    let client = builder(&sandbox).build_blocking().unwrap();
    let lease = client.lease(create("user_1", "jo")).unwrap();
    sandbox.accept(lease.token().expose_url().unwrap()).unwrap();
    block_on(begin(&sandbox, create("user_1", "kim")));
    assert_eq!(client.impersonations("user_1").unwrap().len(), 2);
    assert_eq!(subs(&lease.end_session().unwrap()), ["jo"]);
    let ended = client.end_impersonation("user_1", any).unwrap();
    assert_eq!(subs(&ended), ["kim"]);
}

#[test]
fn futures_are_send() {
    fn assert_send<T: Send>(_: impl FnOnce(Client, Lease) -> T) {}
    assert_send(|client, _| async move { client.end_impersonation("user_1", any).await });
    assert_send(|client, _| async move { client.impersonations("user_1").await });
    assert_send(|_, lease| lease.end_session());
}
