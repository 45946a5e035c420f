//! Every check of a request, case by case: route, key, API version, content type, body.

use std::{io, pin::Pin};

use clerk_actor_tokens::layer::ApiVersion;
use futures_util::{Stream, stream};
use http::HeaderValue;
use http_body::{Frame, SizeHint};
use http_body_util::StreamBody;

use super::super::*;

/// Returns the status, and the code of an error.
async fn result(request: Request<Full<Bytes>>) -> (u16, String) {
    let response = send(recorded().1, request).await;
    (response.status, response.code().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn status_under(base_path: &str, path: &str) -> u16 {
    let (_, api) = recorded();
    let request = post(path, &[AUTH, JSON], BODY);
    send(api.base_path(base_path), request).await.status
}

#[tokio::test]
async fn base_path_is_stripped_in_every_notation() {
    for base in ["/v1", "v1", "/v1/", "v1//"] {
        let path = "/v1/actor_tokens?x=y";
        assert_eq!(status_under(base, path).await, 200, "{base}");
    }
    for base in ["", "/"] {
        assert_eq!(status_under(base, "/actor_tokens").await, 200, "{base}");
    }
    let absolute = "http://h/v1/actor_tokens/act_1/revoke";
    assert_eq!(status_under("/v1", absolute).await, 200);
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let paths = "/ /actor_tokens /v1 /v1/ /v1actor_tokens /v2/actor_tokens /v1/actor_tokens/ \
         /v1/actor_tokens//revoke /v1/actor_tokens/act_1 /v1/actor_tokens/revoke \
         /v1/actor_tokens/act_1/revoke/ /v1/actor_tokens/a/b/revoke /v1/actor_tokens/../revoke \
         /v1/actor_tokens/%61/revoke /v1/actor_tokens_2 /v1/Actor_tokens";
    for path in paths.split(' ') {
        assert_eq!(status_under("/v1", path).await, 404, "{path}");
    }
}

#[tokio::test]
async fn methods_other_than_post_are_refused() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let mut request = create(BODY);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(result(request).await, refused(405, "method_not_allowed"));
    }
}

/// Returns the code of the response to a revoke with these `Authorization` headers.
async fn code_with_bearer(values: &[&[u8]]) -> String {
    let api = recorded()
        .1
        .accept_key("other", SecretKey::new("sk_1_0123456789abcdef").unwrap())
        .unwrap();
    let mut request = post(REVOKE, &[], "");
    for value in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append("authorization", value);
    }
    send(api, request).await.code().to_owned()
}

#[tokio::test]
async fn accepted_keys_pass_and_others_are_invalid() {
    for value in [
        "Bearer sk_test_gateway_0123456789",
        "bearer sk_1_0123456789abcdef",
        "BEARER  sk_test_gateway_0123456789",
        "Bearer sk_1_0123456789abcdef ",
    ] {
        assert_eq!(code_with_bearer(&[value.as_bytes()]).await, "", "{value}");
    }
    for value in [
        "Bearer sk_2",
        "Bearer sk_1_0123456789abcdef1",
        "Bearer sk_",
        "Bearer SK_1",
        "Bearer sk_1_0123456789abcdef, Bearer sk_1_0123456789abcdef",
    ] {
        let code = code_with_bearer(&[value.as_bytes()]).await;
        assert_eq!(code, "clerk_key_invalid", "{value}");
    }
    assert_ne!(code_with_bearer(&[b"Bearer \xff\xfe"]).await, "");
}

#[tokio::test]
async fn anything_but_one_bearer_header_is_a_format_error() {
    let good = b"Bearer sk_1_0123456789abcdef".as_slice();
    for values in [
        &[][..],
        &[b"".as_slice()],
        &[b"Bearer"],
        &[b"Bearer "],
        &[b"sk_1_0123456789abcdef"],
        &[b"Basic sk_1_0123456789abcdef"],
        &[good, good],
    ] {
        let code = code_with_bearer(values).await;
        assert_eq!(code, "authorization_header_format_invalid", "{values:?}");
    }
}

async fn accepts_version(headers: &[&str], query: &str) -> bool {
    let mut all = vec![AUTH];
    all.extend(headers.iter().map(|it| ("clerk-api-version", *it)));
    let (status, code) = result(post(&format!("{REVOKE}{query}"), &all, "")).await;
    assert!(status == 200 || code == "api_version_invalid", "{code}");
    status == 200
}

#[tokio::test]
async fn documented_versions_are_accepted_in_header_or_query() {
    let documented = "2021-02-05 2024-10-01 2025-04-10 2025-11-10 2026-05-12";
    for version in documented.split(' ') {
        assert!(accepts_version(&[version], "").await, "{version}");
        let query = format!("?a=b&__clerk_api_version={version}");
        assert!(accepts_version(&[], &query).await, "{version}");
    }
    for query in ["", "?", "?a=b"] {
        assert!(accepts_version(&[], query).await, "{query}");
    }
    assert!(accepts_version(&[ApiVersion::default().as_str()], "").await);
}

#[tokio::test]
async fn unknown_and_repeated_versions_are_refused() {
    for version in ["", "latest", "2026-05-13", "2026-05-12, 2025-11-10"] {
        assert!(!accepts_version(&[version], "").await, "{version}");
    }
    let query = "?__clerk_api_version=2026-05-12";
    for query in [
        "?__clerk_api_version",
        "?__clerk_api_version=",
        "?__clerk_api_version=1",
        &format!("{query}&__clerk_api_version=2026-05-12"),
    ] {
        assert!(!accepts_version(&[], query).await, "{query}");
    }
    assert!(!accepts_version(&["2026-05-12"], query).await);
    assert!(!accepts_version(&["2026-05-12", "2026-05-12"], "").await);
}

#[tokio::test]
async fn content_type_must_be_json_given_once() {
    for (values, status) in [
        (&["application/json"][..], 200),
        (&["Application/JSON ; charset=utf-8"], 200),
        (&[], 415),
        (&[""], 415),
        (&["text/plain"], 415),
        (&["application/json5"], 415),
        (&["application/x-www-form-urlencoded"], 415),
        (&["application/json", "application/json"], 415),
    ] {
        let mut headers = vec![AUTH];
        headers.extend(values.iter().map(|it| ("content-type", *it)));
        let response = result(post(CREATE, &headers, BODY)).await;
        assert_eq!(response.0, status, "{values:?}");
    }
}

/// Returns the status of the response to a create with this body.
async fn status_of_stream<S>(frames: S) -> u16
where
    S: Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static,
{
    let (head, _) = create("").into_parts();
    let request = Request::from_parts(head, StreamBody::new(Box::pin(frames)));
    let Ok(response) = recorded().1.oneshot(request).await;
    response.status().as_u16()
}

fn data(bytes: &[u8]) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::copy_from_slice(bytes)))
}

#[tokio::test]
async fn announced_and_streamed_bodies_are_limited() {
    let padded = |len: usize| BODY.to_owned() + &" ".repeat(len - BODY.len());
    assert_eq!(result(create(padded(64 * 1024))).await.0, 200);
    let too_long = refused(413, "request_body_invalid");
    assert_eq!(result(create(padded(64 * 1024 + 1))).await, too_long);

    // Refused at the first byte over the limit, before the rest is read.
    let rest = Err(io::Error::other("read too far"));
    let longest = padded(64 * 1024);
    let streamed = stream::iter([data(longest.as_bytes()), data(b" "), rest]);
    assert_eq!(status_of_stream(streamed).await, 413);
}

/// A body that announces one byte over the limit and must not be read.
struct TooLong;

impl http_body::Body for TooLong {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("read although it is too long")
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(64 * 1024 + 1)
    }
}

#[tokio::test]
async fn body_that_announces_too_much_is_not_read() {
    let (head, _) = create("").into_parts();
    let request = Request::from_parts(head, TooLong);
    let Ok(response) = recorded().1.oneshot(request).await;
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn trailers_are_ignored_and_incomplete_bodies_refused() {
    let (start, end) = BODY.as_bytes().split_at(7);
    let trailers = Ok(Frame::trailers(HeaderMap::new()));
    let complete = stream::iter([data(start), data(end), trailers]);
    assert_eq!(status_of_stream(complete).await, 200);

    let broken = stream::iter([data(start), Err(io::ErrorKind::ConnectionReset.into())]);
    assert_eq!(status_of_stream(broken).await, 400);
}

#[tokio::test]
async fn body_that_is_not_one_object_is_refused() {
    for json in [
        "",
        "null",
        "7",
        "[]",
        r#"["user_1",{"sub":"a"}]"#,
        r#"{"user_id":"#,
        r#"{"user_id":"u","actor":{"sub":"a"}} x"#,
        r#"{"user_id":"u","user_id":"v","actor":{"sub":"a"}}"#,
        r#"{"user_id":"u","actor":{"sub":"a"},"actor":{"sub":"a"}}"#,
    ] {
        let expected = refused(400, "request_body_invalid");
        assert_eq!(result(create(json)).await, expected, "{json}");
    }
    let no_text = b"{\"user_id\":\"\xff\",\"actor\":{\"sub\":\"a\"}}";
    assert_ne!(result(create(&no_text[..])).await.0, 200);
}

async fn assert_invalid_value(json: String) {
    let expected = refused(422, "form_param_value_invalid");
    assert_eq!(result(create(json.clone())).await, expected, "{json}");
}

#[tokio::test]
async fn values_of_the_wrong_type_are_refused_by_field() {
    for value in r#"null 7 true "" "\t" [] {"a":1} 1e400"#.split(' ') {
        assert_invalid_value(format!(r#"{{"user_id":{value},"actor":{{"sub":"a"}}}}"#)).await;
        assert_invalid_value(format!(r#"{{"user_id":"u","actor":{{"sub":{value}}}}}"#)).await;
    }
    for value in r#"null 7 "a" [] {"sub":"a","sub":"b"}"#.split(' ') {
        assert_invalid_value(format!(r#"{{"user_id":"u","actor":{value}}}"#)).await;
    }
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let actor = format!(r#"{{"sub":"a","d":{deep}}}"#);
    assert_invalid_value(format!(r#"{{"user_id":"u","actor":{actor}}}"#)).await;
}

#[tokio::test]
async fn lifetimes_are_positive_integers_or_null() {
    for field in ["expires_in_seconds", "session_max_duration_in_seconds"] {
        let json =
            |value: &str| format!(r#"{{"user_id":"u","actor":{{"sub":"a"}},"{field}":{value}}}"#);
        let invalid = r#"0 -1 1.5 60.0 "60" true [60] {} 2147483648 1e3 99999999999999999999"#;
        for value in invalid.split(' ') {
            assert_invalid_value(json(value)).await;
        }
        assert_eq!(result(create(json("60"))).await.0, 200);

        let (recorder, api) = recorded();
        assert_eq!(send(api, create(json("null"))).await.status, 200);
        let unset = Operation::Create(CreateActorToken::new("u", Actor::new("a")));
        assert_eq!(recorder.calls()[0].operation(), &unset);
    }
}

#[tokio::test]
async fn claims_of_the_actor_are_kept_unchanged() {
    let json = r#"{"user_id":"u","actor":{"sub":"cli:a@b","n":18446744073709551615,"f":0.5,"i":-3,"o":{"é":[null,true]},"user_id":"x"}}"#;
    let (recorder, api) = recorded();
    assert_eq!(send(api, create(json)).await.status, 200);
    let calls = recorder.calls();
    let Operation::Create(create) = calls[0].operation() else {
        panic!("{:?}", calls[0])
    };
    let sent = serde_json::to_value(create).unwrap();
    assert_eq!(sent, serde_json::from_str::<Value>(json).unwrap());
}

#[tokio::test]
async fn inbound_headers_hold_no_credentials_and_debug_shows_no_values() {
    let headers = [
        ("authorization", "Bearer marker"),
        ("authorization", "Bearer marker"),
        ("proxy-authorization", "Basic marker"),
        ("cookie", "session=marker"),
    ];
    let (recorder, _) = recorded();
    let api = ActorTokensApi::unauthenticated(recorder.clone());
    assert_eq!(send(api, post(REVOKE, &headers, "")).await.status, 200);

    let calls = recorder.calls();
    let inbound = calls[0].extensions().get::<Inbound>().unwrap();
    assert_eq!(inbound.headers().keys_len(), 1);
    assert!(inbound.headers().contains_key("cookie"));
    assert!(!format!("{inbound:?}").contains("marker"));
}
