//! The status, the error body and the headers of a response are read as far as they can be read.

mod support {
    pub(crate) mod answer;
    pub(crate) mod scripted;
}

use std::time::Duration;

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenStatus, Body, BoxError, ClerkError, ClerkErrors, ClientBuilder,
    CreateActorToken, Error, ErrorKind, OperationKind, Outcome, Payload, RetryConfig, SecretKey,
    TokenResponse, layer::DecodeErrorLayer,
};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{answer::answer, scripted::Scripted};
use tower::{Layer, ServiceExt, service_fn};

/// The error of a create with this response.
fn failed(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Error {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    let _entered = runtime.enter();
    let transport = Scripted::new([answer(422, headers, body)]);
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport.clone())
        .max_response_bytes(1 << 22)
        .retry(RetryConfig::disabled())
        .build()
        .unwrap();
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let ended = client.create(create).now_or_never();
    assert_eq!(transport.sent().len(), 1);
    ended.expect("it is ready at once").unwrap_err()
}

/// The error of an attempt with this response.
fn decoded(status: u16, headers: &[(&str, &str)], body: &'static str) -> Error {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let mut response = Some(response.body(TokenResponse::new(body)).unwrap());
    let exchange = service_fn(move |request: Request<Body>| {
        let _taken = request.into_body().into_bytes();
        std::future::ready(Ok::<_, BoxError>(response.take().unwrap()))
    });
    let request = Request::new(Payload::new(OperationKind::Create, "{}"));
    let ended = DecodeErrorLayer::new().layer(exchange).oneshot(request);
    let error = ended.now_or_never().expect("it is ready at once");
    *error.unwrap_err().downcast().unwrap()
}

fn read(body: impl Into<Bytes>) -> ClerkErrors {
    failed(&[], body)
        .clerk_errors()
        .cloned()
        .unwrap_or_default()
}

/// The text after it is cleaned.
fn presentable(text: String) -> String {
    ActorTokenStatus::from(&*text).as_str().to_owned()
}

fn read_meta(meta: &Value) -> Map<String, Value> {
    let body = json!({"errors": [{"meta": meta}]});
    read(body.to_string()).errors.remove(0).meta
}

#[test]
fn status_decides_the_outcome() {
    for (status, outcome) in [
        (400, Outcome::Rejected),
        (404, Outcome::Rejected),
        (429, Outcome::Rejected),
        (500, Outcome::Unknown),
        (503, Outcome::Unknown),
        (201, Outcome::Unknown),
        (204, Outcome::Unknown),
        (302, Outcome::Unknown),
        (101, Outcome::Unknown),
    ] {
        assert_eq!(decoded(status, &[], "").outcome(), outcome, "{status}");
    }
    assert_eq!(decoded(307, &[], "").kind(), ErrorKind::UnexpectedStatus);
}

#[test]
fn html_body_leaves_status_and_trace_id() {
    let error = decoded(502, &[("cf-ray", "8f-FRA")], "<html>marker</html>");
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
    assert_eq!(error.trace_id(), Some("8f-FRA"));
    assert!(error.code().is_none());
    assert!(!format!("{error} {error:?}").contains("marker"));
}

#[test]
fn trace_id_of_the_body_precedes_those_of_the_head() {
    assert_eq!(decoded(400, &[("cf-ray", "\t ")], "").trace_id(), None);
    let headers = [("clerk-trace-id", "head"), ("cf-ray", "ray")];
    let body = r#"{"errors":[],"clerk_trace_id":"body"}"#;
    assert_eq!(decoded(400, &headers, body).trace_id(), Some("body"));
    assert_eq!(decoded(400, &headers, "").trace_id(), Some("head"));
}

#[test]
fn full_body_is_read() {
    let errors = read(
        r#"{"errors":[{"message":"is missing","long_message":"actor.sub must be included.","code":"form_param_missing","meta":{"param_name":"actor.sub"}}],"clerk_trace_id":"t1"}"#,
    );
    let error = ClerkError::new(
        "form_param_missing",
        "is missing",
        "actor.sub must be included.",
    );
    assert_eq!(errors.errors, [error.with_meta("param_name", "actor.sub")]);
    assert_eq!(errors.clerk_trace_id.as_deref(), Some("t1"));
    assert_eq!(errors.errors[0].to_string(), "actor.sub must be included.");
}

#[test]
fn partial_or_wrong_entries_are_empty() {
    let errors = read(r#"{"errors":[{},7,null,{"code":7,"message":null,"meta":[]}]}"#).errors;
    assert_eq!(errors, [(); 4].map(|()| ClerkError::default()));
    assert_eq!(errors[0].to_string(), "no message");
}

#[test]
fn unreadable_members_do_not_hide_the_code_and_the_trace_id() {
    let deep = "[".repeat(500) + &"]".repeat(500);
    for odd in [b"1e400", &br#""\ud800""#[..], deep.as_bytes()] {
        for name in ["odd", "message", "long_message", "meta", r"\ud800"] {
            let odd = [b"\"", name.as_bytes(), b"\":", odd].concat();
            let body = [
                b"{",
                &odd[..],
                br#","errors":[7,1e400,{"#,
                &odd,
                br#","c\u006fde":"a"}],"clerk_trace_id":"t"}"#,
            ];
            let errors = read(body.concat());
            let entries = ["", "", "a"].map(|code| ClerkError::new(code, "", ""));
            assert_eq!(errors.errors, entries);
            assert_eq!(errors.clerk_trace_id.as_deref(), Some("t"));
        }
    }
    let garbled = read(&b"{\"errors\":[{\"message\":\"a\xff\"}],\"clerk_trace_id\":1e400}"[..]);
    assert_eq!(garbled.errors, [ClerkError::new("", "a\u{fffd}", "")]);
}

#[test]
fn last_of_two_members_counts() {
    let errors = read(
        r#"{"errors":[{"code":"a","code":"b"}],"clerk_trace_id":"t","errors":[{"code":"c"},{}],"clerk_trace_id":"u"}"#,
    );
    assert_eq!((errors.code(), errors.errors.len()), (Some("c"), 2));
    assert_eq!(errors.clerk_trace_id.as_deref(), Some("u"));
}

#[test]
fn trace_id_is_kept_without_errors() {
    for value in ["{}", "null", "7", "1e400", r#""\ud800""#, "[]"] {
        for name in ["errors", "other"] {
            let errors = read(format!(r#"{{"{name}":{value},"clerk_trace_id":"t"}}"#));
            assert_eq!(errors.clerk_trace_id.as_deref(), Some("t"));
            assert!(errors.errors.is_empty());
        }
    }
}

#[test]
fn blank_trace_id_is_absent() {
    for blank in ["", " ", r"\u0007\n", r"\u200b "] {
        let errors = read(format!(r#"{{"errors":[],"clerk_trace_id":"{blank}"}}"#));
        assert_eq!(errors.clerk_trace_id, None, "{blank}");
    }
}

#[test]
fn body_without_errors_and_trace_id_is_empty() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "<html>",
        r#"{"errors":{}}"#,
        r#"{"errors":null}"#,
        r#"{"errors":1e400}"#,
        r#"{"errors":{},"clerk_trace_id":""}"#,
        r#"[[{"code":"x"}],"t"]"#,
        r#"[{"errors":[{"code":"x"}]}]"#,
        r#"{"errors":[{"code":"x"}]} x"#,
        r#"{"errors":[{"code":"x"}]"#,
    ] {
        assert_eq!(read(body), ClerkErrors::default(), "{body}");
    }
}

#[test]
fn errors_are_capped() {
    for entry in ["{}", r#"{"message":1e400}"#] {
        let entries = vec![entry; 100_000].join(",");
        assert_eq!(
            read(format!(r#"{{"errors":[{entries}]}}"#)).errors.len(),
            32
        );
    }
}

#[test]
fn debug_of_an_error_has_at_most_16_kib() {
    let text = "\u{10ffff}\"".repeat(400);
    let entry = json!({"code": text, "message": text, "long_message": text, "meta": {"a": vec![Value::Null; 32]}});
    let body = json!({"errors": vec![entry; 32], "clerk_trace_id": text});
    let error = failed(&[], body.to_string());
    assert_eq!(error.clerk_errors().unwrap().errors.len(), 32);
    for shown in [format!("{error:?}"), format!("{error:#?}")] {
        assert!(shown.starts_with("Error {"), "{shown}");
        assert!(shown.ends_with('…'), "{shown}");
        assert!((16_000..=16_384).contains(&shown.len()), "{}", shown.len());
    }
}

#[test]
fn trace_id_in_a_header_is_made_presentable() {
    for name in ["clerk-trace-id", "cf-ray"] {
        let error = failed(&[(name, "a sk_test_1")], "");
        assert_eq!(error.trace_id(), Some("a sk_[redacted]"));
        assert!(!format!("{error} {error:?}").contains("sk_test_1"));
    }
}

#[test]
fn meta_is_kept_up_to_a_kibibyte() {
    for (len, kept) in [(0, true), (198, true), (199, false), (400, false)] {
        let meta = json!({"a": "\"\\".repeat(200), "b": ["é", "x".repeat(len), 1.5]});
        assert_eq!(meta.to_string().len(), 826 + len);
        let expected = meta.as_object().filter(|_| kept).cloned();
        assert_eq!(read_meta(&meta), expected.unwrap_or_default(), "{len}");
    }
}

#[test]
fn meta_is_cleaned_and_capped() {
    let many: Map<_, _> = (10..50).map(|n| (n.to_string(), n.into())).collect();
    let meta = read_meta(&json!({
        "sk_a": "\u{1b}sk_b",
        "deep": [[[[1], [[1]]]]],
        "list": vec![7; 40],
        "map": many,
    }));
    assert_eq!(meta["sk_[redacted]"], "sk_[redacted]");
    assert_eq!(meta["deep"], json!([[[[1], [null]]]]));
    assert_eq!(meta["list"], json!(vec![7; 32]));
    assert_eq!(meta["map"].as_object().unwrap().len(), 32);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_texts_are_read_and_made_presentable(texts in any::<[String; 5]>()) {
        let [code, message, long_message, name, value] = texts;
        let body = json!({"errors": [{
            "meta": {(&name): value},
            "long_message": long_message,
            "message": message,
            "code": code,
        }]});
        let [code, message, long, name, value] =
            [code, message, long_message, name, value].map(presentable);
        let error = ClerkError::new(code, message, long).with_meta(name, value);
        prop_assert_eq!(read(body.to_string()).errors, [error]);
    }
}

#[test]
fn retry_after_is_the_largest_of_the_readable_values() {
    let digits = "9".repeat(1 << 20);
    let wait = |values: &[&str]| {
        let mut headers = vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        headers.extend(values.iter().map(|value| ("retry-after", *value)));
        failed(&headers, "").retry_after()
    };
    for (values, seconds) in [
        (&["5"][..], Some(5)),
        // Zero and a date in the past ask for no backoff.
        (&["0"], None),
        (&["Sun, 06 Nov 1994 08:49:00 GMT"], None),
        (&["0", "2"], Some(2)),
        (&["Sun, 06 Nov 1994 08:49:47 GMT"], Some(10)),
        (&["Sunday, 06-Nov-94 08:49:47 GMT"], Some(10)),
        (&["Sun Nov  6 08:49:47 1994"], Some(10)),
        (&["1", "x", "7", "3"], Some(7)),
        (&["-5"], None),
        (&["+5"], None),
        (&["5.5"], None),
        (&["5;q=1"], None),
        (&[""], None),
        (&["soon"], None),
        (&["18446744073709551616"], None),
        (&[&digits], None),
        (&["Wed, 30 Feb 1994 08:49:37 GMT"], None),
        (&[], None),
    ] {
        assert_eq!(
            wait(values),
            seconds.map(Duration::from_secs),
            "{seconds:?}"
        );
    }
    let never = wait(&["Fri, 31 Dec 9999 23:59:59 GMT"]);
    assert!(never.unwrap() > Duration::from_secs(1 << 30));
}
