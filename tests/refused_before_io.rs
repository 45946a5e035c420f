//! What cannot be right is refused before any I/O, with what and where, and without echoing it.

mod support {
    pub(crate) mod answer;
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
use support::{answer::answer, scripted::Scripted, shown::shown};
use tower::util::MapRequestLayer;

fn key() -> SecretKey {
    SecretKey::new("sk_test_refused").unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("marker_user", Actor::new("marker_admin"))
}

/// The error of a request that never reaches the transport.
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

/// The same, for what is wrong with the request itself.
async fn invalid(request: impl Into<ActorTokenRequest>, says: &str) {
    let error = refused(request).await;
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert!(error.is_permanent());
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn ids_that_could_leave_their_place_in_the_path_do_not_exist() {
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
async fn every_id_that_exists_is_one_segment_of_the_path() {
    const OFTEN: &str = "abcXYZ019_-";
    const SELDOM: &str = "./\\%?#;:@ \t\r\n\0é\u{202e}";
    let mut random = fastrand::Rng::with_seed(20_260_512);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..2000 {
        let length = random.usize(1..=140);
        let hostile = random.bool();
        let text: String = (0..length)
            .map(|_| {
                let seldom = hostile && random.u32(..40) == 0;
                let from: Vec<_> = if seldom { SELDOM } else { OFTEN }.chars().collect();
                random.choice(from).unwrap()
            })
            .collect();
        let Ok(id) = text.parse::<ActorTokenId>() else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let body = format!(r#"{{"id":"{id}"}}"#);
        let transport = Scripted::new([answer(200, &[], body)]);
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
fn keys_that_cannot_be_keys_do_not_exist() {
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
fn base_urls_that_would_lead_the_key_astray_do_not_exist() {
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
async fn users_and_actors_without_a_name_are_refused() {
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
async fn lives_that_cannot_be_meant_are_refused() {
    for life in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(999),
        Duration::from_millis(1500),
        Duration::from_secs(1 << 31),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ] {
        invalid(create().expires_in(life), "expires_in_seconds").await;
        let session = create().session_max_duration(life);
        invalid(session, "session_max_duration_in_seconds").await;
    }
}

#[tokio::test]
async fn headers_that_only_the_client_may_set_are_refused() {
    for name in [
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
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
async fn base_urls_of_a_call_that_lead_elsewhere_are_refused() {
    for url in [
        "https://marker.example/v1",
        "https://api.clerk.com:444/marker",
        "https://api.clerk.com.marker.example/v1",
        "http://127.0.0.1/marker",
    ] {
        let request = ActorTokenRequest::create(create()).base_url(url.parse().unwrap());
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
            let request = request.base_url(own.parse().unwrap());
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

/// The error of a call whose wire layer changes the request, unless it was sent.
async fn changed<F>(request: ActorTokenRequest, change: F) -> Option<Error>
where
    F: Fn(&mut Request<Body>) + Clone + Send + Sync + 'static,
{
    let transport = Scripted::new([answer(
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
async fn request_that_a_layer_sends_elsewhere_is_refused() {
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
async fn framing_that_a_layer_sets_is_refused() {
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
async fn content_length_of_the_body_is_sent_once() {
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
async fn a_call_without_any_time_is_refused() {
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
async fn a_call_with_all_the_time_there_is_goes_through() {
    let body = r#"{"id":"act_1","user_id":"marker_user"}"#;
    let transport = Scripted::new([answer(200, &[], body)]);
    let client = ClientBuilder::over(key(), transport).build().unwrap();
    let request = ActorTokenRequest::create(create())
        .timeout(Duration::MAX)
        .attempt_timeout(Duration::MAX);
    assert!(client.send(request).await.is_ok());
}
