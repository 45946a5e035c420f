//! The requests of a client, line by line on the wire.

#![cfg(all(feature = "ring", feature = "webpki-roots"))]

mod support {
    pub(crate) mod raw_server;
    pub(crate) mod shown;
}

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorTokenId, ActorTokenRequest, ActorTokenStatus, BaseUrl, Client, ClientBuilder,
    CreateActorToken, ErrorKind, Outcome, RetryConfig, SecretKey,
    client::Layers,
    transport::{HyperTransport, TransportConfig},
};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use support::{
    raw_server::{RawServer, SILENCE},
    shown::shown,
};
use tower_http::set_header::SetRequestHeaderLayer;

const MINTED: &str = r#"{"id":"act_1","user_id":"user_subject","status":"pending","token":"t"}"#;
const REVOKED: &str = r#"{"id":"act_1","status":"revoked"}"#;
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

fn ok(body: &str) -> String {
    http("200 OK", "content-type: application/json\r\n", body)
}

fn builder(base_url: BaseUrl) -> ClientBuilder<Layers, TransportConfig> {
    Client::builder(SecretKey::new("sk_test_wire").unwrap())
        .base_url(base_url)
        .retry(RetryConfig::default().initial_interval(Duration::ZERO))
}

fn client(server: &RawServer) -> Client {
    builder(server.base_url("/v1")).build().unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}

fn id() -> ActorTokenId {
    "act_1".parse().unwrap()
}

/// Returns the sorted header lines of a request with this body.
fn expected_headers(server: &RawServer, body: &str) -> Vec<String> {
    let mut headers = vec![
        "accept: application/json".to_owned(),
        "accept-encoding: identity".to_owned(),
        "authorization: Bearer sk_test_wire".to_owned(),
        "clerk-api-version: 2026-05-12".to_owned(),
        format!("content-length: {}", body.len()),
        format!("host: {}", server.address),
        format!("user-agent: clerk-actor-tokens/{VERSION}"),
        format!("x-clerk-sdk: rust/{VERSION}"),
    ];
    if !body.is_empty() {
        headers.push("content-type: application/json".to_owned());
    }
    headers.sort();
    headers
}

#[tokio::test]
async fn create_is_sent_with_exactly_these_lines() {
    let server = RawServer::responding([ok(MINTED)]).await;
    let token = client(&server).create(create()).await.unwrap();
    assert_eq!(token.id(), &id());

    let seen = server.request();
    assert_eq!(seen.line, "POST /v1/actor_tokens HTTP/1.1");
    assert_eq!(
        seen.body,
        r#"{"user_id":"user_subject","actor":{"sub":"user_admin"}}"#
    );
    assert_eq!(seen.headers, expected_headers(&server, &seen.body));
}

#[tokio::test]
async fn revoke_is_sent_with_exactly_these_lines() {
    let server = RawServer::responding([ok(REVOKED)]).await;
    let token = client(&server).revoke(&id()).await.unwrap();
    assert_eq!(token.status(), &ActorTokenStatus::Revoked);

    let seen = server.request();
    assert_eq!(seen.line, "POST /v1/actor_tokens/act_1/revoke HTTP/1.1");
    assert_eq!(seen.body, "");
    assert_eq!(seen.headers, expected_headers(&server, ""));
}

#[tokio::test]
async fn lifetimes_are_sent_as_integers() {
    let server = RawServer::responding([ok(MINTED)]).await;
    let create = create()
        .expires_in(Duration::from_secs(300))
        .session_max_duration(Duration::from_secs(600));
    client(&server).create(create).await.unwrap();
    assert_eq!(
        server.request().body,
        r#"{"user_id":"user_subject","actor":{"sub":"user_admin"},"expires_in_seconds":300,"session_max_duration_in_seconds":600}"#
    );
}

#[tokio::test]
async fn path_is_appended_to_the_base_url() {
    for (base, root) in [
        ("", "/v1"),
        ("/", "/v1"),
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/gate/clerk/v1", "/gate/clerk/v1"),
        ("/gate", "/gate"),
    ] {
        let server = RawServer::responding([ok(MINTED), ok(REVOKED)]).await;
        let client = builder(server.base_url(base)).build().unwrap();
        let _kept = client.create(create()).await.unwrap();
        client.revoke(&id()).await.unwrap();
        let lines: Vec<_> = server.requests().into_iter().map(|it| it.line).collect();
        let create = format!("POST {root}/actor_tokens HTTP/1.1");
        let revoke = format!("POST {root}/actor_tokens/act_1/revoke HTTP/1.1");
        assert_eq!(lines, [create, revoke], "{base}");
    }
}

#[tokio::test]
async fn header_of_a_call_is_added_to_those_of_the_client() {
    let server = RawServer::responding([ok(REVOKED)]).await;
    let name = HeaderName::from_static("x-request-id");
    let request = ActorTokenRequest::revoke(id()).header(name, HeaderValue::from_static("r-1"));
    client(&server).send(request).await.unwrap();

    let mut expected = expected_headers(&server, "");
    expected.push("x-request-id: r-1".to_owned());
    expected.sort();
    assert_eq!(server.request().headers, expected);
}

#[tokio::test]
async fn call_may_choose_another_path_on_the_same_host() {
    let server = RawServer::responding([ok(REVOKED)]).await;
    let request = ActorTokenRequest::revoke(id()).base_url(server.base_url("/other/v1"));
    client(&server).send(request).await.unwrap();
    let line = server.request().line;
    assert_eq!(line, "POST /other/v1/actor_tokens/act_1/revoke HTTP/1.1");
}

#[tokio::test]
async fn call_may_choose_another_host_only_if_it_is_allowed() {
    let own = RawServer::responding([ok(REVOKED)]).await;
    let away = RawServer::responding([ok(REVOKED)]).await;
    let request = || ActorTokenRequest::revoke(id()).base_url(away.base_url("/v1"));

    let error = client(&own).send(request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!((own.connections(), away.connections()), (0, 0));

    let allowed = builder(own.base_url("/v1")).allow_base_url(away.base_url("/any"));
    allowed.build().unwrap().send(request()).await.unwrap();
    assert_eq!(own.connections(), 0);
    assert_eq!(away.request().headers, expected_headers(&away, ""));
}

#[tokio::test]
async fn call_may_set_its_timeouts() {
    let limit = Duration::from_millis(200);
    let request = || ActorTokenRequest::create(create());
    for (request, message) in [
        (request().timeout(limit), "the call took longer than 200ms"),
        (
            request().attempt_timeout(limit),
            "the attempt took longer than 200ms",
        ),
    ] {
        let server = RawServer::responding([SILENCE; 3]).await;
        let error = client(&server).send(request).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn wire_layer_can_neither_repeat_nor_replace_the_key() {
    let other = HeaderValue::from_static("Bearer sk_test_other");
    for layer in [
        SetRequestHeaderLayer::overriding(AUTHORIZATION, other.clone()),
        SetRequestHeaderLayer::appending(AUTHORIZATION, other),
    ] {
        let server = RawServer::responding([ok(REVOKED)]).await;
        let client = builder(server.base_url("/v1")).wire_layer(layer);
        client.build().unwrap().revoke(&id()).await.unwrap();
        assert_eq!(server.request().headers, expected_headers(&server, ""));
    }
}

#[tokio::test]
async fn connection_is_reused_by_the_next_call() {
    let server = RawServer::responding([ok(MINTED), ok(REVOKED), ok(MINTED)]).await;
    let client = client(&server);
    let _kept = client.create(create()).await.unwrap();
    client.clone().revoke(&id()).await.unwrap();
    let _kept_too = client.create(create()).await.unwrap();
    let connections: Vec<_> = server.requests().iter().map(|it| it.connection).collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[tokio::test]
async fn connection_idle_beyond_the_limit_is_not_reused() {
    let config = TransportConfig::default().pool_idle_timeout(Duration::ZERO);
    for over_client in [false, true] {
        let server = RawServer::responding([ok(REVOKED), ok(REVOKED)]).await;
        let builder = builder(server.base_url("/v1"));
        let client = if over_client {
            let transport = HyperTransport::new(&config).unwrap();
            builder.transport(transport).build().unwrap()
        } else {
            builder.pool_idle_timeout(Duration::ZERO).build().unwrap()
        };
        for _ in 0..2 {
            client.revoke(&id()).await.unwrap();
        }
        let connections: Vec<_> = server.requests().iter().map(|it| it.connection).collect();
        assert_eq!(connections, [1, 2], "HyperTransport: {over_client}");
    }
}

#[tokio::test]
async fn redirect_is_not_followed_and_its_target_is_not_shown() {
    let elsewhere = RawServer::responding([ok(MINTED)]).await;
    for status in ["301 Moved", "302 Found", "303 See", "307 T", "308 P"] {
        for target in [
            format!("http://{}/marker", elsewhere.address),
            "/marker".into(),
        ] {
            let location = format!("location: {target}\r\n");
            let server = RawServer::responding([http(status, &location, "marker")]).await;
            let error = client(&server).create(create()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedStatus);
            assert_eq!(error.outcome(), Outcome::Unknown);
            assert!(!shown(&error).contains("marker"), "{}", shown(&error));
            assert_eq!(server.requests().len(), 1, "{status}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn cookie_is_not_sent_back() {
    let cookie = "set-cookie: session=marker; Path=/\r\n";
    let server = RawServer::responding([http("200 OK", cookie, REVOKED), ok(REVOKED)]).await;
    let client = client(&server);
    client.revoke(&id()).await.unwrap();
    client.revoke(&id()).await.unwrap();
    let second = &server.requests()[1];
    assert_eq!(second.headers, expected_headers(&server, ""));
}

#[tokio::test]
async fn create_with_unknown_outcome_is_sent_once() {
    let unavailable = || http("503 Service Unavailable", "", "");
    let server = RawServer::responding([unavailable(), ok(MINTED)]).await;
    let error = client(&server).create(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
    assert_eq!(server.requests().len(), 1);

    // The connection ends after the request was read.
    let server = RawServer::responding([""; 0]).await;
    let error = client(&server).create(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn revoke_with_unknown_outcome_is_sent_up_to_three_times() {
    let unavailable = || http("503 Service Unavailable", "", "");
    let server = RawServer::responding([unavailable(), unavailable(), ok(REVOKED)]).await;
    client(&server).revoke(&id()).await.unwrap();
    assert_eq!(server.requests().len(), 3);

    let server = RawServer::responding([(); 4].map(|()| unavailable())).await;
    let error = client(&server).revoke(&id()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 3));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn create_after_429_is_sent_again_with_the_same_lines() {
    let busy = http("429 Too Many Requests", "retry-after: 0\r\n", "");
    let server = RawServer::responding([busy, ok(MINTED)]).await;
    client(&server).create(create()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.line, "POST /v1/actor_tokens HTTP/1.1");
        assert_eq!(request.headers, expected_headers(&server, &request.body));
    }
}

#[tokio::test]
async fn refused_connection_is_tried_three_times_and_means_not_sent() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let client = builder(base_url.parse().unwrap()).build().unwrap();
    for error in [
        client.create(create()).await.unwrap_err(),
        client.revoke(&id()).await.unwrap_err(),
    ] {
        assert!(error.is_connect(), "{error}");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotSent, 3));
    }
}
