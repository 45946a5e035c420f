//! The public value types: which input they accept, how they compare and what they show.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorTokenId, ActorTokenStatus, BaseUrl, Body, BoxError, ClerkError, ClerkErrors,
    ClientBuilder, CreateActorToken, Error, ErrorKind, InvalidRequest, OperationKind, SecretKey,
    layer::{ApiHeadersLayer, ApiVersion, BearerAuthLayer},
};
use http::{HeaderMap, Request, Response, StatusCode};
use proptest::{
    prelude::{ProptestConfig, any},
    prop_assert_eq, prop_assume, proptest,
    sample::{Index, select},
};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt, service_fn};

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

#[test]
fn known_forms_of_ids_are_accepted() {
    let longest = "a".repeat(128);
    let seen = "act_2OEpKhcCN1Lat9NQ0G6puh7q5Rb impt_x act_tok_1 act_123 a-b";
    for id in seen.split(' ').chain([&*longest]) {
        assert_eq!(id.parse::<ActorTokenId>().unwrap().to_string(), id);
    }
}

#[test]
fn debug_shows_nothing_of_the_key() {
    let key = SecretKey::new("sk_test_marker").unwrap();
    assert!(!format!("{key:?} {key:#?}").contains("marker"));
    assert_eq!(key.expose(), "sk_test_marker");
}

#[test]
fn base_url_is_completed_and_trimmed() {
    for (given, shown) in [
        ("https://api.clerk.com", "https://api.clerk.com/v1"),
        ("https://api.clerk.com/", "https://api.clerk.com/v1"),
        ("https://api.clerk.com/v1/", "https://api.clerk.com/v1"),
        ("https://gate.example/api//", "https://gate.example/api"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("http://localhost", "http://localhost/v1"),
        (
            "https://[2001:db8::1]:8443/x",
            "https://[2001:db8::1]:8443/x",
        ),
        ("https://10.0.0.1/x", "https://10.0.0.1/x"),
        ("https://a_b-c.example/x", "https://a_b-c.example/x"),
    ] {
        assert_eq!(given.parse::<BaseUrl>().unwrap().to_string(), shown);
    }
}

#[tokio::test]
async fn key_is_sent_to_the_authority_of_the_base_url_only() {
    for (uri, is_same) in [
        ("https://API.clerk.com:443/v9", true),
        ("https://api.clerk.com:444/v1", false),
        ("http://api.clerk.com/v1", false),
        ("https://evil@api.clerk.com/v1", false),
        ("/v1", false),
    ] {
        let key = SecretKey::new("sk_test_1").unwrap();
        let service = ServiceBuilder::new()
            .layer(BearerAuthLayer::new(key, BaseUrl::default()))
            .service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new("sent")) });
        let body = Body::new(OperationKind::Revoke, "");
        let sent = service.oneshot(Request::post(uri).body(body).unwrap());
        assert_eq!(sent.await.is_ok(), is_same, "{uri}");
        if let Ok(other) = uri.parse::<BaseUrl>() {
            assert_eq!(BaseUrl::default().has_same_authority(&other), is_same);
        }
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| vec![inner].into())
}

#[test]
fn claims_survive_a_round_trip() {
    let actor = Actor::new("cli:admin@example.com");
    let actor = actor.claim("n", 7).claim("o", nested(3));
    let text = serde_json::to_string(&actor).unwrap();
    let json = r#"{"sub":"cli:admin@example.com","n":7,"o":[[[null]]]}"#;
    assert_eq!(text, json);
    assert_eq!(serde_json::from_str::<Actor>(&text).unwrap(), actor);
}

#[test]
fn debug_shows_the_names_of_claims_but_no_values() {
    let shown = format!("{:?}", Actor::new("marker").claim("reason", "marker"));
    assert_eq!(shown, r#"Actor { claims: ["reason"], .. }"#);
}

#[test]
fn create_is_validated_up_to_its_limits() {
    let with = |actor| CreateActorToken::new("user_1", actor).validate();
    let deep = InvalidRequest::DeepClaims { limit: 64 };
    let second = Duration::from_secs(1);
    for (result, expected) in [
        (with(Actor::new(" ")), Err(InvalidRequest::EmptySub)),
        (
            with(Actor::new("a").claim("sub", "b")),
            Err(InvalidRequest::ShadowedSub),
        ),
        (with(Actor::new("a").claim("d", nested(64))), Ok(())),
        (with(Actor::new("a").claim("d", nested(65))), Err(deep)),
        (
            CreateActorToken::new("", Actor::new("a")).validate(),
            Err(InvalidRequest::EmptyUserId),
        ),
        (
            create().expires_in(Duration::ZERO).validate(),
            Err(InvalidRequest::Lifetime {
                field: "expires_in_seconds",
            }),
        ),
        (create().expires_in(second).validate(), Ok(())),
    ] {
        assert_eq!(result, expected);
    }
}

#[test]
fn lifetimes_are_absent_when_unset() {
    let text = serde_json::to_string(&create()).unwrap();
    assert_eq!(text, r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#);
    let set = create()
        .expires_in(Duration::from_secs(300))
        .session_max_duration(Duration::from_secs(60));
    assert_eq!(
        serde_json::to_string(&set).unwrap(),
        r#"{"user_id":"user_1","actor":{"sub":"user_2"},"expires_in_seconds":300,"session_max_duration_in_seconds":60}"#
    );
}

#[test]
fn status_of_a_token_is_read_from_the_sentence_of_a_400() {
    let code = "actor_token_cannot_be_revoked_code";
    let of = |status: &str| format!("It cannot be revoked because its status is {status}. Only …");
    let (accepted, revoked) = (of("accepted"), of("revoked"));
    let mut rows = vec![
        (400, code, accepted, ErrorKind::AlreadyAccepted),
        (400, code, revoked.clone(), ErrorKind::AlreadyRevoked),
        (400, code, of("frozen"), ErrorKind::Api),
        (400, code, of(""), ErrorKind::Api),
        (400, code, String::new(), ErrorKind::Api),
        (400, "something_else", revoked.clone(), ErrorKind::Api),
    ];
    for status in [401, 404, 409, 429, 500, 502, 503] {
        rows.push((status, code, revoked.clone(), ErrorKind::Api));
    }
    for (status, code, sentence, kind) in rows {
        let errors = ClerkErrors::new(ClerkError::new(code, "cannot be revoked", &*sentence));
        let error = Error::api(StatusCode::from_u16(status).unwrap(), errors);
        assert_eq!(error.kind(), kind, "{status} {sentence}");
    }
}

/// Returns a text of the network as the crate keeps it.
fn presentable(text: &str) -> String {
    ActorTokenStatus::from(text).as_str().to_owned()
}

#[test]
fn text_from_the_network_is_stripped_and_keys_in_it_are_masked() {
    for (text, shown) in [
        ("a\u{1b}[31mred\r\n\u{202e}b\0", "a[31mredb"),
        (
            "key 'sk_test_a1+/=' and sk_live_b are wrong",
            "key 'sk_[redacted]' and sk_[redacted] are wrong",
        ),
        ("sk_a:b%c$d~e is", "sk_[redacted] is"),
        ("sk_test_a%2Bb%3D", "sk_[redacted]"),
        ("sk_[redacted]", "sk_[redacted]"),
        // A key of a known kind is masked inside a word.
        ("Bearer%20sk_live_a b", "Bearer%20sk_[redacted] b"),
        ("task_sk_test_a", "task_sk_[redacted]"),
        ("asks\u{200b}k_\0test_a", "asksk_[redacted]"),
        // A stripped character ends a word.
        ("key\nsk_a", "keysk_[redacted]"),
        ("key\u{1b}sk_a", "keysk_[redacted]"),
        ("key\u{200b}\0sk_a", "keysk_[redacted]"),
        ("key\0s\0k_\0a", "keysk_[redacted]"),
    ] {
        assert_eq!(presentable(text), shown);
    }
    for word in ["task_pending", "at_risk_hold", "2sk_x", "_sk_x", "ésk_x"] {
        assert_eq!(presentable(word), word);
        let hostile = presentable(&format!("\u{1b}{word} sk_a"));
        assert_eq!(hostile, format!("{word} sk_[redacted]"));
    }
    let long = presentable(&"é".repeat(10_000));
    assert_eq!(long, "é".repeat(500) + "…");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_accepted_key_that_a_peer_echoes_is_masked(
        key in "sk_(test_|live_)?[A-Za-z0-9._~+/=-]{1,40}",
        hidden in select(vec!["", "\u{200b}", "\u{180e}", "\u{2800}", "\u{3164}", "\u{fe0f}", "\u{e0041}", "\0"]),
        at in any::<Index>(),
        before in select(vec!["", "the key ", "Bearer ", "'", "\"", "(", "<", "key=", "x\u{200b}"]),
        after in select(vec!["", " is wrong", "'", "\"", "`", ",", ";", ")", ">", "<"]),
    ) {
        prop_assume!(SecretKey::new(&*key).is_ok());
        let (one, two) = key.split_at(at.index(key.len()));
        let echoed = format!("{before}{one}{hidden}{two}{after}");
        let before = before.replace('\u{200b}', "");
        prop_assert_eq!(presentable(&echoed), format!("{before}sk_[redacted]{after}"));
    }
}

#[test]
fn key_has_the_characters_of_a_bearer_token_only() {
    for c in '\0'..='\u{ff}' {
        let allowed = c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let key = SecretKey::new(format!("sk_test_a{c}b"));
        assert_eq!(key.is_ok(), allowed, "{}", c.escape_unicode());
    }
}

#[test]
fn invisible_characters_are_removed_and_all_others_kept() {
    let class = regex_syntax::parse(r"[\p{Cf}\p{Default_Ignorable_Code_Point}\p{Cc}]").unwrap();
    let HirKind::Class(Class::Unicode(class)) = class.kind() else {
        panic!("not a character class");
    };
    let mut ranges = class.ranges().to_vec();
    // The line separators, and the blank Braille pattern.
    ranges.extend(
        [('\u{2028}', '\u{2029}'), ('\u{2800}', '\u{2800}')]
            .map(|(a, b)| ClassUnicodeRange::new(a, b)),
    );
    let class = ClassUnicode::new(ranges);
    let mut next = class.ranges().iter().peekable();
    for c in '\0'..=char::MAX {
        while next.peek().is_some_and(|range| range.end() < c) {
            next.next();
        }
        let is_invisible = next.peek().is_some_and(|range| range.start() <= c);
        let kept = presentable(&format!("a{c}b"));
        assert_eq!(kept == "ab", is_invisible, "{}", c.escape_unicode());
    }
}

#[test]
fn api_version_is_a_date() {
    for date in ["2021-02-05", "2026-05-12"] {
        assert_eq!(date.parse::<ApiVersion>().unwrap().as_str(), date);
    }
    for other in [
        "",
        "latest",
        "v1",
        "1",
        "2026-5-12",
        "2026-05-1",
        "2026-05-123",
        "2026/05/12",
        "20260512",
        "2026-05-1x",
        " 2026-05-12",
        "2026-05-12\n",
        "-026-05-12",
        "२०२६-०५-१२",
    ] {
        let error = other.parse::<ApiVersion>().expect_err(other);
        assert_eq!(
            error.to_string(),
            "an API version is a date like 2026-05-12"
        );
    }
}

/// Returns the headers below the layer of a request with these headers.
async fn sent(kind: OperationKind, bytes: &'static str, own: &[(&'static str, &str)]) -> HeaderMap {
    let service = ServiceBuilder::new()
        .layer(ApiHeadersLayer::default())
        .service(service_fn(|request: Request<Body>| async {
            let (head, _) = request.into_parts();
            Ok::<_, BoxError>(Response::new(head.headers))
        }));
    let mut request = Request::new(Body::new(kind, bytes));
    for (name, value) in own {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    service.oneshot(request).await.unwrap().into_body()
}

#[tokio::test]
async fn headers_of_the_api_depend_on_the_body() {
    let headers = sent(OperationKind::Create, "{}", &[("content-length", "7")]).await;
    assert_eq!(headers["content-type"], "application/json");
    assert!(!headers.contains_key("content-length"));
    assert_eq!(headers.len(), 6);

    let headers = sent(OperationKind::Revoke, "", &[("content-type", "text/plain")]).await;
    assert_eq!(headers["content-length"], "0");
    assert!(!headers.contains_key("content-type"));
    assert_eq!(headers.len(), 6);
}

#[tokio::test]
async fn version_and_user_agent_of_a_request_are_kept_and_other_headers_replaced() {
    let own = [
        "clerk-api-version",
        "user-agent",
        "accept",
        "accept-encoding",
        "x-clerk-sdk",
    ];
    let headers = sent(OperationKind::Create, "{}", &own.map(|name| (name, "own"))).await;
    let kept = own.map(|name| headers[name] == "own");
    assert_eq!(kept, [true, true, false, false, false]);
    assert_eq!(headers.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn debug_of_an_error_shows_flags_only_if_they_are_set() {
    let plain = Error::api(StatusCode::NOT_FOUND, ClerkErrors::default());
    let debug = format!("{plain:?}");
    let flags = ["permanent", "settling", "out_of_budget"];
    assert!(debug.starts_with("Error { kind: Api, outcome: Rejected, attempts: 0, status: 404"));
    assert!(!flags.iter().any(|flag| debug.contains(flag)), "{debug}");

    let transport = service_fn(|request: Request<Body>| async move {
        let kind = request.body().kind();
        let _taken = request.into_body().into_bytes();
        if kind == OperationKind::Create {
            std::future::pending::<()>().await;
        }
        let mut unavailable = Response::new(String::new());
        *unavailable.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Ok::<_, BoxError>(unavailable)
    });
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport).build();
    let client = client.unwrap();
    let settling = client.create(create()).await.unwrap_err();
    let empty = CreateActorToken::new("", Actor::new("a"));
    let permanent = client.create(empty).await.unwrap_err();
    let mut last = None;
    for _ in 0..6 {
        last = client.revoke("act_1").await.err();
    }
    for (error, flag) in [permanent, settling, last.unwrap()].iter().zip(flags) {
        let debug = format!("{error:?}");
        let shown = flags.map(|flag| debug.contains(&format!("{flag}: true")));
        assert_eq!(shown, flags.map(|other| other == flag), "{debug}");
    }
}
