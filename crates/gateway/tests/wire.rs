//! The wire protocol: an SDK sees the errors of the API, and no trick reaches the API.

mod world;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, CreateActorToken, Error, Outcome,
    sandbox::{Fault, Sandbox},
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use world::{KEY, Served, World, create};

/// Returns an SDK's view of an error: its status and its code.
fn view(error: &Error) -> (u16, &str) {
    (
        error.status().map_or(0, |status| status.as_u16()),
        error.code().unwrap_or_default(),
    )
}

#[tokio::test]
async fn sdk_creates_and_revokes() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let token = sdk.create(create()).await.unwrap();
    assert!(token.expose_url().is_some());
    sdk.revoke(token.id()).await.unwrap();
    assert_eq!(world.sandbox.ledger().revoked().count(), 1);

    let ledger = world.sandbox.ledger();
    let claims = ledger.minted().next().unwrap().actor().claims().clone();
    assert_eq!(claims["by"], "billing");
}

#[tokio::test]
async fn sdk_sees_the_errors_of_the_gateway() {
    let limits = "[[limits]]\nby = \"subject\"\ncalls = 1\nper = 60";
    let world = World::open(Sandbox::new().known_users(["user_subject"]), limits).await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let of = |subject: &str, actor: Actor| CreateActorToken::new(subject, actor);

    let error = served
        .sdk("sk_test_aaaaaaaaaaaaaaaaaaaa")
        .create(create())
        .await
        .unwrap_err();
    assert_eq!(view(&error), (401, "clerk_key_invalid"));

    let error = sdk
        .create(of("user_denied", Actor::new("user_admin")))
        .await
        .unwrap_err();
    assert_eq!(view(&error), (403, "impersonation_denied"));
    let error = sdk
        .create(of("user_subject", Actor::new("bot")))
        .await
        .unwrap_err();
    assert_eq!(view(&error), (403, "impersonation_denied"));

    let reserved = Actor::new("user_admin").claim("by", "other");
    let error = sdk.create(of("user_subject", reserved)).await.unwrap_err();
    assert_eq!(view(&error), (422, "form_param_unknown"));

    sdk.create(create()).await.unwrap();
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(view(&error), (429, "too_many_requests"));
    assert!(error.retry_after().is_some());
    assert_eq!(world.sandbox.ledger().minted().len(), 1);
}

#[tokio::test]
async fn sdk_sees_the_errors_of_the_api() {
    let sandbox = Sandbox::new().known_users(["user_subject"]).quota(1);
    let world = World::open(sandbox, "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);

    let unknown = CreateActorToken::new("user_x", Actor::new("user_admin"));
    let error = sdk.create(unknown).await.unwrap_err();
    assert_eq!(view(&error), (404, "resource_not_found"));
    let error = sdk.revoke("act_unknown").await.unwrap_err();
    assert_eq!(view(&error), (404, "resource_not_found"));

    // The key of the gateway is no concern of its callers.
    world
        .sandbox
        .inject(Fault::Status(StatusCode::UNAUTHORIZED));
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(view(&error), (502, "bad_gateway"));
    world.sandbox.inject(Fault::Status(StatusCode::FORBIDDEN));
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(view(&error), (403, "authorization_invalid"));

    world.sandbox.inject(Fault::DisconnectAfter);
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(view(&error), (502, "bad_gateway"));
    assert_eq!(error.outcome(), Outcome::Unknown);

    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(view(&error), (422, "impersonation_limit_exceeded"));
    assert!(error.is_quota_exceeded());

    let world = World::open(Sandbox::new().without_impersonation(), "").await;
    let served = world.serve().await;
    let error = served.sdk(KEY).create(create()).await.unwrap_err();
    assert_eq!(
        view(&error),
        (402, "unsupported_subscription_plan_features")
    );
}

#[tokio::test]
async fn create_above_max_calls_is_shed_and_a_revoke_passes() {
    let world = World::open(Sandbox::new(), "[server]\nmax_calls = 1").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let token = sdk.create(create()).await.unwrap();

    let requests = world.sandbox.requests();
    world.sandbox.inject(Fault::HangBefore);
    let hanging = tokio::spawn({
        let sdk = sdk.clone();
        async move { sdk.create(create()).await }
    });
    while world.sandbox.requests() == requests {
        tokio::task::yield_now().await;
    }
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(view(&error), (503, "overloaded"));
    assert!(error.retry_after().is_some());
    sdk.revoke(token.id()).await.unwrap();
    hanging.abort();
}

#[tokio::test]
async fn no_header_of_a_caller_reaches_the_api() {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let recorded = Arc::clone(&seen);
    let sandbox = Sandbox::new().faults_by(move |_, head| {
        *recorded.lock().unwrap() = head.headers.clone();
        None
    });
    let world = World::open(sandbox, "").await;
    let served = world.serve().await;
    let body = r#"{"user_id": "user_subject", "actor": {"sub": "user_admin"}}"#;
    let response = raw(
        &served,
        &format!(
            "POST /v1/actor_tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
             x-forwarded-for: MARKER\r\ncookie: MARKER\r\nx-impersonation-reason: MARKER\r\nx-request-id: MARKER\r\n\
             user-agent: MARKER\r\nclerk-api-version: 2025-11-10\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ),
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let seen = seen.lock().unwrap();
    assert!(!format!("{seen:?}").contains("MARKER"), "{seen:?}");
    assert!(!seen["authorization"].to_str().unwrap().contains(KEY));
}

/// Sends bytes on a new connection, and returns all that comes back until it is closed.
async fn raw(served: &Served, request: &str) -> String {
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = stream.read_to_end(&mut response);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    // The server may reset a connection whose request it did not read.
    let _ = read.expect("the connection stays open");
    String::from_utf8(response).unwrap()
}

/// Sends a request of a caller with a valid key.
async fn keyed(served: &Served, line: &str) -> String {
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n");
    raw(
        served,
        &format!("{head}content-length: 0\r\nconnection: close\r\n\r\n"),
    )
    .await
}

#[tokio::test]
async fn every_other_path_and_target_is_a_404() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    for line in [
        "POST /",
        "POST /v1",
        "POST /v1/",
        "GET /v1/users",
        "POST //v1/actor_tokens",
        "POST /v1//actor_tokens",
        "POST /v1/actor_tokens/",
        "POST /v1/actor_tokens//revoke",
        "POST /v1/actor_tokens/act_1",
        "POST /v1/actor_tokens/act_1/revoke/",
        "POST /v1/actor_tokens/act_1/revoke/x",
        "POST /v1/actor_tokens/act_1%2frevoke",
        "POST /v1/actor_tokens/%61ct_1/revoke",
        "POST /v1/actor_tokens/..%2f..%2fusers/revoke",
        "POST /v1/actor_tokens/../actor_tokens",
        "POST /v1/./actor_tokens",
        "POST /v1/%2e%2e/v1/actor_tokens",
        "POST /v1/%61ctor_tokens",
        "POST /v1/actor_tokens;x=1",
        "POST /V1/actor_tokens",
        "POST /v1/Actor_Tokens",
        "POST /v2/actor_tokens",
        "POST /x/../v1/actor_tokens",
        "POST http://api.clerk.com/v1/actor_tokens",
        "POST http://x/v1/actor_tokens/act_1/revoke",
        "CONNECT api.clerk.com:443",
        "OPTIONS *",
    ] {
        let response = keyed(&served, line).await;
        assert!(response.starts_with("HTTP/1.1 404 "), "{line}: {response}");
        assert!(
            response.contains(r#""code":"resource_not_found""#),
            "{line}: {response}"
        );
        assert!(
            response.contains("cache-control: no-store"),
            "{line}: {response}"
        );
    }
    let response = keyed(&served, "GET /v1/users").await;
    assert!(
        response.contains("This gateway serves POST /v1/actor_tokens"),
        "{response}"
    );
    let response = keyed(&served, "GET /v1/actor_tokens").await;
    assert!(response.starts_with("HTTP/1.1 405 "), "{response}");
    assert_eq!(world.sandbox.requests(), 0);
}

#[tokio::test]
async fn ambiguous_request_is_refused() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let (line, key) = (
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: x\r\n",
        format!("authorization: Bearer {KEY}\r\n"),
    );
    for (case, headers, status) in [
        (
            "two keys",
            format!("{key}authorization: Bearer sk_test_x\r\ncontent-length: 0\r\n"),
            "401",
        ),
        (
            "the same key twice",
            format!("{key}{key}content-length: 0\r\n"),
            "401",
        ),
        (
            "another scheme",
            "authorization: Basic c2tfdGVzdA==\r\ncontent-length: 0\r\n".into(),
            "401",
        ),
        (
            "two lengths",
            format!("{key}content-length: 0\r\ncontent-length: 2\r\n"),
            "400",
        ),
        (
            "a signed length",
            format!("{key}content-length: +2\r\n"),
            "400",
        ),
        (
            "a folded header",
            format!("{key}x-a: b\r\n c: d\r\ncontent-length: 0\r\n"),
            "400",
        ),
        (
            "a space before the colon",
            format!("{key}content-length : 0\r\n"),
            "400",
        ),
        (
            "a bare carriage return",
            format!("{key}x-a: b\rc: d\r\ncontent-length: 0\r\n"),
            "400",
        ),
        (
            "an unknown transfer coding",
            format!("{key}transfer-encoding: x\r\n"),
            "400",
        ),
        (
            "a chunked body that is not the last coding",
            format!("{key}transfer-encoding: chunked, x\r\n"),
            "400",
        ),
    ] {
        let response = raw(
            &served,
            &format!("{line}{headers}connection: close\r\n\r\n"),
        )
        .await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{case}: {response}"
        );
    }
    assert_eq!(world.sandbox.requests(), 0);
}

#[tokio::test]
async fn request_hidden_in_a_body_is_not_served() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let hidden = format!(
        "POST /v1/actor_tokens/act_1/revoke HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    // A proxy in front that goes by the length takes all of this for one body.
    let body = format!("0\r\n\r\n{hidden}");
    for headers in [
        format!(
            "transfer-encoding: chunked\r\ncontent-length: {}\r\n",
            body.len()
        ),
        format!(
            "content-length: {}\r\ntransfer-encoding: chunked\r\n",
            body.len()
        ),
    ] {
        let head = format!("POST /v1/users HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let response = raw(&served, &format!("{head}{body}")).await;
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    }
    assert_eq!(world.sandbox.requests(), 0);
}

#[tokio::test]
async fn body_longer_than_64_kib_is_refused() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let head = format!(
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
    );
    let length = format!("{head}content-length: 65537\r\nconnection: close\r\n\r\n");
    let response = raw(&served, &length).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");

    let chunk = " ".repeat(65_537);
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n10001\r\n{chunk}\r\n"
    );
    let response = raw(&served, &chunked).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert_eq!(world.sandbox.requests(), 0);
}

#[tokio::test]
async fn http2_request_is_served() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let stream = TokioIo::new(TcpStream::connect(served.addr).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    for (path, status) in [
        ("/v1/actor_tokens/act_1/revoke", 404),
        ("/v1/users", 404),
        ("/v1/actor_tokens", 415),
    ] {
        let requests = world.sandbox.requests();
        let request = Request::post(format!("http://{}{path}", served.addr))
            .header("authorization", format!("Bearer {KEY}"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let reached = world.sandbox.requests() - requests;
        assert_eq!(reached, u64::from(path.ends_with("revoke")), "{path}");
    }
}
