//! Invalid input of callers, which is refused before any I/O.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorTokenId, ActorTokenRequest, BaseUrl, CreateActorToken, ErrorKind, Outcome,
    SecretKey,
};
use serde_json::Value;

use super::Runnable;
use crate::harness::{
    caller::Caller,
    pipe,
    row::paused,
    script::{Op, Step},
    transport_kind::TransportKind,
};
use crate::search::{MARKER, form_in};

const SECTION: &str = "Caller input";

pub(crate) fn rows() -> Vec<Runnable> {
    let mut rows = Vec::new();
    let big = "a".repeat(10_000_000);
    let ids = [
        "",
        "a/b",
        "..",
        ".",
        "../users/MARKER",
        "%2e%2e",
        "%2f",
        "a?MARKER",
        "a#f",
        "a;b",
        "a\\b",
        " ",
        "a b",
        "\t",
        "a\r\nMARKER",
        "a\0",
        "é",
        "a\u{202e}b",
        "@evil",
        "http://evil/",
        &big,
    ];
    rows.extend(refused("id", &ids, |id| ActorTokenId::try_from(id)));
    let megabyte = "s".repeat(1 << 20);
    let keys = [
        "",
        " ",
        " sk_test_MARKER",
        "sk_test_MARKER ",
        "sk_test MARKER",
        "sk_test_MARKER\n",
        "sk_test_MARKER\r\nx: y",
        "sk_é_MARKER",
        "sk_test_\"MARKER",
        "sk_test_MARKER,MARKER",
        "sk_test_<MARKER>",
        "sk_test_MARKER;",
        "sk_",
        "sk_test_",
        "sk_live_",
        "Bearer sk_test_MARKER",
        "pk_test_MARKER",
        &megabyte,
    ];
    rows.extend(refused("key", &keys, |key| SecretKey::new(key)));
    let urls = [
        "",
        "api.clerk.com/MARKER",
        "/v1",
        "ftp://api.clerk.com",
        "http://api.clerk.com/v1",
        "http://10.0.0.1/v1",
        "https://user:MARKER@api.clerk.com",
        "https://api.clerk.com/v1?MARKER",
        "https://api.clerk.com/v1#MARKER",
        "https://api.clerk.com:0",
        "https://api.clerk.com:99999",
        "https://api.clerk.com/../x",
        "https://api.clerk.com/v1/%2e%2e/x",
        "https://api.clerk.com//x",
        "https://é.example",
        "https://a[]9999/",
        "https://a..MARKER/",
        "https://",
        "https://[::1",
        "https:api.clerk.com",
    ];
    rows.extend(refused("base URL", &urls, str::parse::<BaseUrl>));
    for (name, request) in requests() {
        let check = move || paused(refused_unsent(request))?;
        rows.push((SECTION, format!("request with {name}"), Box::new(check)));
    }
    rows
}

/// Texts that the type refuses and the error does not show.
fn refused<T: 'static, E: std::error::Error + 'static>(
    what: &'static str,
    texts: &[&str],
    parse: fn(&str) -> Result<T, E>,
) -> Vec<Runnable> {
    let row = |text: &&str| {
        let text = (*text).to_owned();
        let shown: String = text.chars().take(40).collect();
        let check = move || match parse(&text) {
            Ok(_) => Err("it was accepted".to_owned()),
            Err(error) => {
                let shown = format!("{error} {error:?}");
                if form_in(&shown).is_some() {
                    Err(format!("the error shows it: {shown}"))
                } else {
                    Ok(())
                }
            }
        };
        (SECTION, format!("{what} {shown:?}"), Box::new(check) as _)
    };
    texts.iter().map(row).collect()
}

/// Invalid requests.
fn requests() -> Vec<(String, ActorTokenRequest)> {
    let create = || CreateActorToken::new("user_1", Actor::new("user_2"));
    let with_actor = |actor| ActorTokenRequest::create(CreateActorToken::new("user_1", actor));
    let nested = (0..129).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let header = |name: &'static str| {
        let value = http::HeaderValue::from_static(MARKER);
        let name = http::HeaderName::from_static(name);
        (
            format!("header {name}"),
            ActorTokenRequest::create(create()).header(name, value),
        )
    };
    let elsewhere = "https://elsewhere.example/v1";
    let mut requests = vec![
        (
            "no user".into(),
            CreateActorToken::new("", Actor::new(MARKER)).into(),
        ),
        ("no sub".into(), with_actor(Actor::new(""))),
        (
            "a claim named sub".into(),
            with_actor(Actor::new("a").claim("sub", MARKER)),
        ),
        (
            "claims 129 levels deep".into(),
            with_actor(Actor::new("a").claim("d", nested)),
        ),
        (
            "1 MB of claims".into(),
            with_actor(Actor::new("a").claim("b", MARKER.repeat(200_000))),
        ),
        (
            "a base URL at another host".into(),
            ActorTokenRequest::create(create()).base_url(elsewhere),
        ),
        header("authorization"),
        header("host"),
        header("content-length"),
        header("transfer-encoding"),
    ];
    for lifetime in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(999),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ] {
        requests.push((
            format!("a lifetime of {lifetime:?}"),
            create().expires_in(lifetime).into(),
        ));
        let session = create().session_max_duration(lifetime).into();
        requests.push((format!("a session lifetime of {lifetime:?}"), session));
    }
    requests
}

async fn refused_unsent(request: ActorTokenRequest) -> Result<(), String> {
    let script = vec![Step::Request, Step::Respond];
    let ((transport, _), seen) = pipe::transport(
        TransportKind::default(),
        vec![script],
        Op::Create,
        false,
        1 << 20,
    );
    let client = Caller::default().client(transport);
    let error = client
        .send(request)
        .await
        .map(drop)
        .expect_err("it was accepted");
    let shown = format!("{error} {error:?}");
    let connected = seen.connections.load(std::sync::atomic::Ordering::SeqCst);
    let right = error.kind() == ErrorKind::InvalidRequest && error.outcome() == Outcome::NotSent;
    if !right || connected > 0 || form_in(&shown).is_some() {
        return Err(format!("{shown}, {connected} connections"));
    }
    Ok(())
}
