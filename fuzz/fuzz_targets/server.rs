//! Any request to the wire protocol: the service gets what the caller sent, if it has the key, and every other
//! response is a documented error without a secret.
//!
//! Input: a byte for the result of the service, then a [`FuzzRequest`]. In `authorization` `~K~` becomes the key.
//! A `|` that ends the body is repeated beyond the longest body.

#![no_main]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, ClerkError, ClerkErrors, Error, Operation, SecretKey,
    server::ActorTokensApi,
};
use clerk_actor_tokens_fuzz::{MARKER, block_on, oracle::is_id, request::FuzzRequest};
use http::{
    HeaderMap, Method, StatusCode,
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use tower::{ServiceExt, service_fn};

/// Long enough to be accepted.
const KEY: &str = "sk_test_MARKERq8Zt3vN0cXwL5rYd";

const MAX_BODY: usize = 64 * 1024;

/// What the service makes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Script {
    Token,
    Refuse,
    Fail,
}

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, text)) = bytes.split_first() else {
        return;
    };
    let script = [Script::Token, Script::Refuse, Script::Fail][usize::from(flags % 3)];
    let Some(mut request) = FuzzRequest::new(text, &[("~K~", KEY)]) else {
        return;
    };
    if let Some(body) = request.body.strip_suffix(b"|") {
        let mut body = body.to_vec();
        body.resize(body.len() + MAX_BODY, b' ');
        request.body = body.into();
    }

    let seen = Arc::<Mutex<Vec<ActorTokenRequest>>>::default();
    let service = service_fn({
        let seen = Arc::clone(&seen);
        move |request: ActorTokenRequest| {
            let result = script.result(&request);
            seen.lock().unwrap().push(request);
            std::future::ready(result)
        }
    });
    let api =
        ActorTokensApi::new(service, SecretKey::new(KEY).expect("a key")).expect("a strong key");
    let (head, body) = block_on(async {
        let response = api.oneshot(request.request(Full::new)).await;
        let (head, body) = response.expect("a response").into_parts();
        let body = body.collect().await.expect("a body");
        (head, body.to_bytes())
    });

    let seen = seen.lock().unwrap();
    let text = std::str::from_utf8(&body).expect("text");
    let json: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(head.headers[CONTENT_TYPE], "application/json");
    assert_eq!(head.headers[CACHE_CONTROL], "no-store");
    assert!(!format!("{:?}", head.headers).contains(MARKER));
    assert!(seen.len() <= 1);
    let is_minted = script == Script::Token && !seen.is_empty();
    assert_eq!(head.status == StatusCode::OK, is_minted, "{head:?}");
    if let Some(seen) = seen.first() {
        is_what_was_sent(seen, &request);
    }
    if head.status != StatusCode::OK {
        assert!(!text.contains(MARKER), "a secret shows: {text}");
        is_error(head.status, &head.headers, &json, script, !seen.is_empty());
    } else if matches!(seen[0].operation(), Operation::Create(_)) {
        assert_eq!(json["url"], "MARKER", "the caller gets the token");
    }
});

impl Script {
    fn result(self, request: &ActorTokenRequest) -> Result<ActorToken, BoxError> {
        match (self, request.operation()) {
            (Self::Token, Operation::Revoke(id)) => {
                let json = format!(r#"{{"id":"{id}","status":"revoked"}}"#);
                Ok(ActorToken::from_json(json.as_bytes())?)
            }
            (Self::Token, _) => {
                let json = br#"{"id":"act_1","status":"pending","url":"MARKER","token":"MARKER"}"#;
                Ok(ActorToken::from_json(json)?)
            }
            (Self::Refuse, _) => {
                let entry = ClerkError::new("too_many", "too many", "Later.");
                let error = Error::refused(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::new(entry));
                Err(error.with_retry_after(Duration::from_millis(1500)).into())
            }
            (Self::Fail, _) => Err(MARKER.into()),
        }
    }
}

/// Asserts that the caller has the key, and that the service got the operation of the request.
fn is_what_was_sent(seen: &ActorTokenRequest, request: &FuzzRequest) {
    let FuzzRequest { head, body } = request;
    let keys: Vec<_> = head.headers.get_all(AUTHORIZATION).iter().collect();
    let [key] = keys[..] else {
        panic!("{} keys", keys.len());
    };
    let (scheme, key) = key.as_bytes().split_at(7);
    assert!(scheme.eq_ignore_ascii_case(b"bearer ") && key.trim_ascii() == KEY.as_bytes());
    assert_eq!(head.method, Method::POST);
    let create = match seen.operation() {
        Operation::Create(create) => create,
        Operation::Revoke(id) => {
            assert!(is_id(id.as_str()));
            assert_eq!(head.uri.path(), format!("/v1/actor_tokens/{id}/revoke"));
            return;
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(head.uri.path(), "/v1/actor_tokens");
    let types: Vec<_> = head.headers.get_all(CONTENT_TYPE).iter().collect();
    assert!(
        types.len() == 1
            && types[0]
                .as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"application/json")
    );
    assert!(body.len() <= MAX_BODY);
    let mut fields: Map<String, Value> = serde_json::from_slice(body).expect("an object");
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    assert_eq!(take("user_id"), create.user_id());
    let actor = serde_json::to_value(create.actor()).expect("an actor can be written");
    assert_eq!(take("actor"), actor);
    let seconds = |time: Option<Duration>| time.map_or(Value::Null, |time| time.as_secs().into());
    assert_eq!(take("expires_in_seconds"), seconds(create.lifetime()));
    let session = seconds(create.session_lifetime());
    assert_eq!(take("session_max_duration_in_seconds"), session);
    assert!(fields.is_empty(), "{fields:?}");
}

/// Asserts that this is a documented error.
fn is_error(
    status: StatusCode,
    headers: &HeaderMap,
    json: &Value,
    script: Script,
    is_served: bool,
) {
    let documented: &[u16] = match (is_served, script) {
        (false, _) => &[400, 401, 404, 405, 413, 415, 422],
        (true, Script::Refuse) => &[429],
        (true, _) => &[500],
    };
    assert!(documented.contains(&status.as_u16()), "{status}: {json}");
    let entry = &json["errors"][0];
    for field in ["code", "message", "long_message"] {
        assert!(
            entry[field].as_str().is_some_and(|it| !it.is_empty()),
            "{json}"
        );
    }
    assert_eq!(
        headers["clerk-trace-id"],
        json["clerk_trace_id"].as_str().expect("a trace id")
    );
    let is_wrong_method = status == StatusCode::METHOD_NOT_ALLOWED;
    assert_eq!(
        headers.get(ALLOW).is_some_and(|it| it == "POST"),
        is_wrong_method
    );
    let wait = headers.get(RETRY_AFTER).map(|it| it.as_bytes());
    let is_limited = status == StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(wait, is_limited.then_some(b"2".as_slice()));
}
