//! Invalid input is refused before any I/O. The error states the mistake and its position without
//! repeating the input. Long, because a promise has one file.

mod support {
    pub(crate) mod reserved;
    pub(crate) mod response;
    pub(crate) mod scripted;
    pub(crate) mod shown;
}

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorTokenId, ActorTokenRequest, BaseUrl, Body, ClientBuilder, CreateActorToken, Error,
    ErrorKind, Outcome, SecretKey,
};
use http::{HeaderName, HeaderValue, Request, header::CONTENT_LENGTH};
use serde_json::Value;
use support::{reserved::RESERVED, response::response, scripted::Scripted, shown::shown};
use tower::util::MapRequestLayer;

fn key() -> SecretKey {
    SecretKey::new("sk_test_refused").unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("marker_user", Actor::new("marker_admin"))
}

/// Returns the error of a request that must not reach the transport.
async fn refused(request: impl Into<ActorTokenRequest>) -> Error {
    let transport = Scripted::new([]);
    let client = ClientBuilder::over(key(), transport.clone())
        .build()
        .unwrap();
    let error = client.send(request).await.unwrap_err();
    assert_eq!(transport.sent().len(), 0);
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    assert!(!shown(&error).contains("marker"), "{}", shown(&error));
    error
}

/// Checks that a request is refused as invalid, with this text in the error.
async fn invalid(request: impl Into<ActorTokenRequest>, says: &str) {
    let error = refused(request).await;
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert!(error.is_permanent());
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn id_that_is_not_one_path_segment_is_refused() {
    let ten_megabytes = "marker".repeat(10_000_000 / 6);
    let one_too_many = "a".repeat(129);
    for (id, says) in [
        ("", "empty"),
        (".", "byte 0"),
        ("..", "byte 0"),
        ("marker/b", "byte 6"),
        ("../users/marker", "byte 0"),
        ("%2e%2e", "byte 0"),
        ("%2f", "byte 0"),
        ("marker?x", "byte 6"),
        ("marker#f", "byte 6"),
        ("marker;b", "byte 6"),
        ("marker\\b", "byte 6"),
        ("marker b", "byte 6"),
        (" marker", "byte 0"),
        ("marker\t", "byte 6"),
        ("marker\r\nx: y", "byte 6"),
        ("marker\0", "byte 6"),
        ("é", "byte 0"),
        ("marker\u{202e}b", "byte 6"),
        ("@evil", "byte 0"),
        ("http://evil/", "byte 4"),
        (&ten_megabytes, "at most 128"),
        (&one_too_many, "at most 128"),
    ] {
        let error = ActorTokenId::try_from(id).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!shown(&error).contains("marker"), "{error}");
    }
}

#[tokio::test]
async fn every_accepted_id_is_one_path_segment() {
    const ALLOWED: &str = "abcXYZ019_-";
    const FORBIDDEN: &str = "./\\%?#;:@ \t\r\n\0é\u{202e}";
    let mut random = fastrand::Rng::with_seed(20_260_512);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..2000 {
        let length = random.usize(1..=140);
        let hostile = random.bool();
        let text: String = (0..length)
            .map(|_| {
                let forbidden = hostile && random.u32(..40) == 0;
                let from: Vec<_> = if forbidden { FORBIDDEN } else { ALLOWED }
                    .chars()
                    .collect();
                random.choice(from).unwrap()
            })
            .collect();
        let Ok(id) = text.parse::<ActorTokenId>() else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let body = format!(r#"{{"id":"{id}"}}"#);
        let transport = Scripted::new([response(200, &[], body)]);
        let client = ClientBuilder::over(key(), transport.clone())
            .build()
            .unwrap();
        client.revoke(&id).await.unwrap();
        let expected = format!("https://api.clerk.com/v1/actor_tokens/{text}/revoke");
        assert_eq!(transport.sent()[0].uri().to_string(), expected);
    }
    assert!(accepted > 500 && refused > 500, "{accepted}, {refused}");
}

#[test]
fn malformed_key_is_refused() {
    let megabyte = "marker".repeat((1 << 20) / 6);
    for (key, says) in [
        ("", "empty"),
        (" ", "byte 0"),
        (" sk_test_marker", "byte 0"),
        ("sk_test_marker ", "byte 14"),
        ("sk_test marker", "byte 7"),
        ("sk_test_marker\n", "byte 14"),
        ("sk_test_marker\r\nx: y", "byte 14"),
        ("sk_test_marker\0", "byte 14"),
        ("sk_test_é_marker", "byte 8"),
        ("sk_test_\"marker", "byte 8"),
        ("sk_test_marker'", "byte 14"),
        ("sk_test_marker,x", "byte 14"),
        ("sk_test_marker;x", "byte 14"),
        ("sk_test_<marker>", "byte 8"),
        ("sk_test_(marker)", "byte 8"),
        ("sk_test_marker`", "byte 14"),
        ("sk_test_marker:x", "byte 14"),
        ("sk_", "after its prefix"),
        ("sk_test_", "after its prefix"),
        ("sk_live_", "after its prefix"),
        ("Bearer sk_test_marker", "without \"Bearer\""),
        ("bearer sk_test_marker", "without \"Bearer\""),
        ("pk_test_marker", "publishable"),
        ("eyJmarker", "begins with sk_"),
        (&megabyte, "at most 1024"),
    ] {
        let error = SecretKey::new(key).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!shown(&error).contains("marker"), "{error}");
    }
}

#[test]
fn unsafe_or_malformed_base_url_is_refused() {
    let long = format!("https://a/{}", "b".repeat(2048));
    let long_label = format!("https://{}.marker.example/", "a".repeat(64));
    for (url, says) in [
        ("", "empty"),
        (&long, "at most 2048"),
        ("marker.example", "scheme"),
        ("marker.example/v1", "not a URL"),
        ("/marker", "scheme"),
        ("ftp://marker.example", "https://"),
        ("file:///marker", ""),
        ("http://marker.example/v1", "loopback"),
        ("http://localhost.marker.example", "loopback"),
        ("http://127.0.0.1.marker.example", "loopback"),
        ("http://0.0.0.0/marker", "loopback"),
        ("https://user:marker@api.clerk.com", "user name"),
        ("https://marker@api.clerk.com", "user name"),
        ("https://api.clerk.com/v1?marker", "query"),
        ("https://api.clerk.com/v1#marker", "fragment"),
        ("https://api.clerk.com:0/marker", "port"),
        ("https://api.clerk.com:99999/marker", ""),
        ("https://api.clerk.com:/marker", "port"),
        ("https://api.clerk.com:marker/v1", ""),
        ("https://api.clerk.com:+80/marker", ""),
        ("https://marker[]9999/", ""),
        ("https://[]/marker", ""),
        ("https://[1.2.3.4]/marker", ""),
        ("https://[::1]marker/", ""),
        ("https://marker..b/", "neither a name"),
        ("https://.marker/", "neither a name"),
        ("https://marker!b/", "neither a name"),
        ("https://:443/marker", ""),
        (&long_label, "neither a name"),
        ("https://api.clerk.com/./marker", "path"),
        ("https://api.clerk.com/../marker", "path"),
        ("https://api.clerk.com/v1/..", "path"),
        ("https://api.clerk.com/%2E%2e/marker", "path"),
        ("https://api.clerk.com//marker", "path"),
        ("https://api.clerk.com/v1\\marker", ""),
        ("https://api.clerk.com/ marker", "white space"),
        (" https://api.clerk.com/marker", "white space"),
        ("https://api.clerk.com/\u{a0}marker", "white space"),
        ("https://marker.exämple/", ""),
        ("https://api.clerk.com/\r\nmarker", "white space"),
    ] {
        let error = url.parse::<BaseUrl>().expect_err(url);
        assert!(error.to_string().contains(says), "{url:?}: {error}");
        assert!(!shown(&error).contains("marker"), "{error}");
    }
}

#[tokio::test]
async fn blank_user_blank_actor_and_second_sub_are_refused() {
    for empty in ["", " ", "\t\n"] {
        invalid(CreateActorToken::new(empty, Actor::new("a")), "user_id").await;
        invalid(CreateActorToken::new("u", Actor::new(empty)), "actor.sub").await;
    }
    let shadowed = Actor::new("marker").claim("sub", "marker");
    invalid(CreateActorToken::new("u", shadowed), "\"sub\"").await;
}

#[tokio::test]
async fn claims_that_are_too_deep_or_too_large_are_refused() {
    let deep = (0..129).fold(Value::from("marker"), |inner, _| vec![inner].into());
    let deep = Actor::new("a").claim("c", deep);
    invalid(CreateActorToken::new("u", deep), "64 levels").await;

    let large = Actor::new("a").claim("c", "marker".repeat((1 << 20) / 6));
    invalid(CreateActorToken::new("u", large), "limit is 65536").await;
    let user_id = "marker".repeat(20_000);
    invalid(CreateActorToken::new(user_id, Actor::new("a")), "65536").await;
}

#[tokio::test]
async fn zero_fractional_or_too_long_lifetime_is_refused() {
    for lifetime in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(999),
        Duration::from_millis(1500),
        Duration::from_secs(1 << 31),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ] {
        invalid(create().expires_in(lifetime), "expires_in_seconds").await;
        let session = create().session_max_duration(lifetime);
        invalid(session, "session_max_duration_in_seconds").await;
    }
}

#[tokio::test]
async fn reserved_header_of_a_request_is_refused() {
    for name in RESERVED {
        let header = HeaderName::from_static(name);
        let value = HeaderValue::from_static("marker");
        invalid(
            ActorTokenRequest::create(create()).header(header, value),
            name,
        )
        .await;
    }
}

#[tokio::test]
async fn header_with_an_invalid_name_or_value_is_refused() {
    for request in both() {
        for name in ["", "marker marker", "marker:", "märker", "marker\n"] {
            let request = request.clone().header(name, "1");
            invalid(request, "name of a header is invalid").await;
        }
        for value in ["marker\n", "marker\r\nx: y", "marker\0"] {
            let request = request.clone().header("x-request-id", value);
            invalid(request, "value of the header x-request-id").await;
        }
        // The first invalid value is the one that the caller sees.
        let request = request
            .header("x-a", "\n")
            .header("x-b", "\n")
            .base_url("marker");
        invalid(request, "the header x-a").await;
    }
}

#[tokio::test]
async fn header_is_sent_whatever_type_its_name_and_value_have() {
    let request = ActorTokenRequest::create(create())
        .header("x-request-id", "4711")
        .header(String::from("x-tenant"), String::from("a"))
        .header(
            HeaderName::from_static("x-typed"),
            HeaderValue::from_static("b"),
        )
        .header("x-number", 7);
    let transport = Scripted::new([response(
        200,
        &[],
        r#"{"id":"act_1","user_id":"marker_user"}"#,
    )]);
    let client = ClientBuilder::over(key(), transport.clone()).build();
    client.unwrap().send(request).await.unwrap();
    let sent = transport.sent();
    for (name, value) in [
        ("x-request-id", "4711"),
        ("x-tenant", "a"),
        ("x-typed", "b"),
        ("x-number", "7"),
    ] {
        assert_eq!(sent[0].headers()[name], value);
    }
}

#[tokio::test]
async fn base_url_of_a_call_that_is_invalid_is_refused() {
    for (url, says) in [
        ("", "empty"),
        ("http://marker.example", "loopback"),
        ("https://user:marker@api.clerk.com", "user name"),
    ] {
        for request in both() {
            invalid(request.base_url(url), says).await;
        }
    }
}

#[tokio::test]
async fn base_url_of_a_call_at_another_host_is_refused() {
    for url in [
        "https://marker.example/v1",
        "https://api.clerk.com:444/marker",
        "https://api.clerk.com.marker.example/v1",
        "http://127.0.0.1/marker",
    ] {
        let request = ActorTokenRequest::create(create()).base_url(url);
        invalid(request, "another host").await;
    }
}

#[tokio::test]
async fn base_url_of_a_call_with_another_scheme_is_refused() {
    for (own, base) in [
        ("http://127.0.0.1:8080", "https://127.0.0.1:8080"),
        ("https://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "https://localhost"),
    ] {
        for request in both() {
            let transport = Scripted::new([]);
            let client = ClientBuilder::over(key(), transport.clone())
                .base_url(base)
                .build()
                .unwrap();
            let request = request.base_url(own);
            let error = client.send(request).await.unwrap_err();
            assert!(error.to_string().contains("another host"), "{error}");
            assert_eq!(
                (transport.sent().len(), error.outcome()),
                (0, Outcome::NotSent)
            );
        }
    }
}

fn both() -> [ActorTokenRequest; 2] {
    let id = "act_1".parse().unwrap();
    [
        ActorTokenRequest::create(create()),
        ActorTokenRequest::revoke(id),
    ]
}

/// Returns the error of a call whose wire layer changes the request, or `None` if it is sent.
async fn changed<F>(request: ActorTokenRequest, change: F) -> Option<Error>
where
    F: Fn(&mut Request<Body>) + Clone + Send + Sync + 'static,
{
    let transport = Scripted::new([response(
        200,
        &[],
        r#"{"id":"act_1","user_id":"marker_user"}"#,
    )]);
    let layer = MapRequestLayer::new(move |mut request: Request<Body>| {
        change(&mut request);
        request
    });
    let client = ClientBuilder::over(key(), transport.clone())
        .wire_layer(layer)
        .build()
        .unwrap();
    let error = client.send(request).await.err();
    assert_eq!(transport.sent().len(), usize::from(error.is_none()));
    error
}

#[tokio::test]
async fn uri_at_another_authority_set_by_a_layer_is_refused() {
    for uri in [
        "https://marker.example/v1/actor_tokens",
        "http://api.clerk.com/v1/actor_tokens",
        "https://api.clerk.com:444/v1/actor_tokens",
        "https://api.clerk.com.marker.example/",
        "https://marker@api.clerk.com/",
        "/v1/actor_tokens",
    ] {
        for request in both() {
            let error = changed(request, |request| *request.uri_mut() = uri.parse().unwrap()).await;
            let error = error.expect(uri);
            let facts = (error.kind(), error.outcome(), error.is_permanent());
            assert_eq!(facts, (ErrorKind::InvalidRequest, Outcome::NotSent, true));
            assert!(error.to_string().contains("its host"), "{error}");
        }
    }
}

#[tokio::test]
async fn framing_header_set_by_a_layer_is_refused() {
    for (name, value) in [
        ("connection", "marker"),
        ("content-length", "marker"),
        ("content-length", "999999"),
        ("content-length", "+0"),
        ("content-length", "-1"),
        ("content-length", ""),
        ("expect", "100-continue"),
        ("host", "marker.example"),
        ("te", "trailers"),
        ("trailer", "marker"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
    ] {
        for request in both() {
            let value = HeaderValue::from_static(value);
            let error = changed(request, move |request| {
                request.headers_mut().insert(name, value.clone());
            });
            let error = error.await.expect(name);
            let facts = (error.kind(), error.outcome(), error.is_permanent());
            assert_eq!(facts, (ErrorKind::InvalidRequest, Outcome::NotSent, true));
            assert!(error.to_string().contains(name), "{error}");
            assert!(!shown(&error).contains("marker"), "{error}");
        }
    }
}

#[tokio::test]
async fn correct_content_length_set_by_a_layer_is_accepted_once() {
    for request in both() {
        let set = |request: &mut Request<Body>| {
            let length = request.body().len().into();
            request.headers_mut().insert(CONTENT_LENGTH, length);
        };
        assert!(changed(request.clone(), set).await.is_none());
        let twice = move |request: &mut Request<Body>| {
            set(request);
            let length = request.body().len().into();
            request.headers_mut().append(CONTENT_LENGTH, length);
        };
        assert!(changed(request, twice).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn call_with_a_zero_timeout_is_refused() {
    let request = || ActorTokenRequest::create(create());
    for (request, says) in [
        (request().timeout(Duration::ZERO), "the call"),
        (request().attempt_timeout(Duration::ZERO), "the attempt"),
    ] {
        let error = refused(request).await;
        assert!(error.is_timeout());
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn call_with_the_largest_timeouts_succeeds() {
    let body = r#"{"id":"act_1","user_id":"marker_user"}"#;
    let transport = Scripted::new([response(200, &[], body)]);
    let client = ClientBuilder::over(key(), transport).build().unwrap();
    let request = ActorTokenRequest::create(create())
        .timeout(Duration::MAX)
        .attempt_timeout(Duration::MAX);
    assert!(client.send(request).await.is_ok());
}
