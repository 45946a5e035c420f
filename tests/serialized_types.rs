//! The public types as JSON: their fields, the input that they refuse, and the absence of credentials.

use std::{fmt::Debug, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenStatus, BaseUrl, ClerkError, ClerkErrors,
    ClientBuilder, CreateActorToken, Error, RetryConfig, SecretKey, Ticket, sandbox::Sandbox,
};
use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, from_value, json, to_value};

fn round_trips<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &Value) {
    assert_eq!(&to_value(value).unwrap(), json);
    assert_eq!(&from_value::<T>(json.clone()).unwrap(), value);
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
}

/// Returns the error message, which does not contain the value.
fn refused<T: DeserializeOwned + Debug>(json: Value) -> String {
    let error = from_value::<T>(json).unwrap_err().to_string();
    assert!(!error.contains("marker"), "{error}");
    error
}

#[test]
fn id_status_and_base_url_are_strings() {
    round_trips(&ActorTokenId::try_from("act_1").unwrap(), &json!("act_1"));
    round_trips(&BaseUrl::default(), &json!("https://api.clerk.com/v1"));
    let other = ActorTokenStatus::Other("paused".into());
    for (status, word) in [
        (ActorTokenStatus::Pending, "pending"),
        (ActorTokenStatus::Accepted, "accepted"),
        (ActorTokenStatus::Revoked, "revoked"),
        (other, "paused"),
    ] {
        round_trips(&status, &json!(word));
    }
    let cleaned: ActorTokenStatus = from_value(json!("sk_test_marker\u{1b}")).unwrap();
    assert_eq!(cleaned.as_str(), "sk_[redacted]");
}

#[test]
fn invalid_id_base_url_and_key_are_refused_with_the_reason() {
    for (error, reason) in [
        (refused::<ActorTokenId>(json!("")), "is empty"),
        (refused::<ActorTokenId>(json!("../marker")), "byte 0"),
        (
            refused::<BaseUrl>(json!("http://marker.example")),
            "https://",
        ),
        (refused::<SecretKey>(json!("pk_test_marker")), "publishable"),
        (refused::<SecretKey>(json!("sk_test_ marker")), "byte 8"),
    ] {
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn secret_key_is_read_but_neither_written_nor_shown() {
    trait AmbiguousIfSerialize<T> {
        fn exists() {}
    }
    impl<T> AmbiguousIfSerialize<()> for T {}
    impl<T: Serialize> AmbiguousIfSerialize<u8> for T {}
    // Neither line compiles if the type implements `Serialize`.
    <SecretKey as AmbiguousIfSerialize<_>>::exists();
    <Ticket as AmbiguousIfSerialize<_>>::exists();

    let key: SecretKey = from_value(json!("sk_test_marker")).unwrap();
    assert_eq!(key.expose(), "sk_test_marker");
    assert!(!format!("{key:?} {key:#?}").contains("marker"));
}

#[test]
fn retry_config_has_durations_in_seconds() {
    let default = json!({
        "max_attempts": 3,
        "initial_interval": 0.1,
        "max_interval": 5.0,
        "exponent": 2.0,
        "max_retry_after": 10.0,
        "retry_connection_errors": true,
        "replay_unknown_create": false,
        "retry_settled_timeouts": false,
        "budget": true,
    });
    round_trips(&RetryConfig::default(), &default);
    let mut sdk = default;
    for (name, value) in [
        ("max_attempts", json!(10)),
        ("initial_interval", json!(0.5)),
        ("max_interval", json!(60.0)),
        ("exponent", json!(1.5)),
        ("max_elapsed", json!(3600.0)),
        ("max_retry_after", json!(60.0)),
        ("replay_unknown_create", json!(true)),
        ("budget", json!(false)),
    ] {
        sdk[name] = value;
    }
    round_trips(&RetryConfig::python_sdk(), &sdk);
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let config = RetryConfig::default().max_elapsed(time).max_interval(time);
        round_trips(&config, &to_value(&config).unwrap());
    }
}

#[test]
fn missing_field_of_a_retry_config_has_its_default() {
    let read = |json| from_value::<RetryConfig>(json).unwrap();
    let default = RetryConfig::default();
    assert_eq!(read(json!({})), default);
    let elapsed = default.clone().max_elapsed(Duration::from_millis(2500));
    assert_eq!(read(json!({"max_elapsed": 2.5})), elapsed);
    // The same limits as those of the setters.
    assert_eq!(read(json!({"max_attempts": 0})), RetryConfig::disabled());
    assert_eq!(read(json!({"exponent": 0.5})), default.exponent(0.5));
}

#[test]
fn unknown_or_invalid_field_of_a_retry_config_is_refused() {
    for (json, reason) in [
        (json!({"max_attempt": 5}), "unknown field `max_attempt`"),
        (json!({"max_interval": -1}), "negative"),
        (json!({"max_interval": 1e30}), "seconds"),
        (json!({"max_interval": "1s"}), "expected f64"),
        (json!({"max_attempts": -1}), "expected u32"),
    ] {
        let error = refused::<RetryConfig>(json);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn create_is_the_body_that_the_api_documents() {
    let create = CreateActorToken::new("user_1", Actor::new("user_2").claim("reason", "4711"));
    let actor = json!({"sub": "user_2", "reason": "4711"});
    round_trips(&create, &json!({"user_id": "user_1", "actor": actor}));
    let create = create
        .expires_in(Duration::from_secs(300))
        .session_max_duration(Duration::from_secs(60));
    let json = json!({
        "user_id": "user_1",
        "actor": actor,
        "expires_in_seconds": 300,
        "session_max_duration_in_seconds": 60,
    });
    round_trips(&create, &json);
    assert_eq!(create.lifetime(), Some(Duration::from_secs(300)));
    assert_eq!(create.session_lifetime(), Some(Duration::from_secs(60)));

    let unset = json!({"user_id": "u", "actor": {"sub": "a"}, "expires_in_seconds": null});
    let unset: CreateActorToken = from_value(unset).unwrap();
    assert_eq!(unset.lifetime(), None);
}

#[test]
fn create_with_an_unknown_missing_or_fractional_field_is_refused() {
    let with = |name: &str, value: Value| {
        let mut json = json!({"user_id": "user_1", "actor": {"sub": "user_2"}});
        json[name] = value;
        refused::<CreateActorToken>(json)
    };
    for (error, reason) in [
        (with("expires_in", json!(300)), "unknown field `expires_in`"),
        (with("expires_in_seconds", json!(1.5)), "expected u64"),
        (with("expires_in_seconds", json!(-1)), "expected u64"),
        (with("actor", json!({})), "missing field `sub`"),
        (refused::<CreateActorToken>(json!({})), "missing field"),
    ] {
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn clerk_errors_survive_a_round_trip() {
    let entry = ClerkError::new(
        ClerkError::FORM_PARAM_MISSING,
        "is missing",
        "It is missing.",
    );
    let mut errors = ClerkErrors::new(entry.with_meta("param_name", "actor.sub"));
    errors.clerk_trace_id = Some("t1".into());
    let json = json!({
        "errors": [{
            "code": "form_param_missing",
            "message": "is missing",
            "long_message": "It is missing.",
            "meta": {"param_name": "actor.sub"},
        }],
        "clerk_trace_id": "t1",
    });
    round_trips(&errors, &json);
    round_trips(&ClerkErrors::default(), &json!({"errors": []}));
}

#[test]
fn deserialized_clerk_errors_are_cleaned_like_a_response() {
    let entry =
        json!({"code": "sk_test_marker", "message": null, "meta": {"a": "\u{1b}sk_live_x"}});
    let errors: ClerkErrors = from_value(json!({"errors": vec![entry; 40], "more": 1})).unwrap();
    assert_eq!(errors.errors.len(), 32);
    let clean = ClerkError::new("sk_[redacted]", "", "").with_meta("a", "sk_[redacted]");
    assert_eq!(errors.errors[0], clean);
    for other in [
        json!({}),
        json!([]),
        json!("marker"),
        json!({"errors": "marker"}),
    ] {
        assert!(refused::<ClerkErrors>(other).contains("array \"errors\""));
    }
}

const TOKEN: &str = r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2"},"status":"pending","token":"marker","url":"https://x/?ticket=marker","created_at":1700000000123,"updated_at":1700000000456}"#;

#[test]
fn actor_token_is_written_without_its_ticket() {
    let token = ActorToken::from_json(TOKEN.as_bytes()).unwrap();
    let text = serde_json::to_string(&token).unwrap();
    let expected = r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2"},"status":"pending","created_at":1700000000123,"updated_at":1700000000456}"#;
    assert_eq!(text, expected);
    let read = ActorToken::from_json(text.as_bytes()).unwrap();
    assert_eq!(read.created_at(), token.created_at());
    assert!(read.ticket().is_none());
    assert_eq!(token.expose_json(), TOKEN.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn actor_token_that_is_written_is_not_claimed() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build();
    let client = client.unwrap();
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let token = client.create(create).await.unwrap();
    let json = to_value(&token).unwrap();
    for name in ["token", "url"] {
        assert_eq!(json.get(name), None);
    }
    let since = token
        .expires_at()
        .unwrap()
        .duration_since(std::time::UNIX_EPOCH);
    assert_eq!(json["expires_at"], since.unwrap().as_millis() as u64);
    drop(token);
    client.drain(Duration::from_secs(5)).await;
    assert_eq!(client.settle_counts().revoked, 1);
}

#[test]
fn codes_are_those_of_the_wire() {
    for (code, status, is_quota) in [
        (ClerkError::IMPERSONATION_LIMIT_EXCEEDED, 422, true),
        (ClerkError::FORM_PARAM_UNKNOWN, 422, false),
        (ClerkError::UNSUPPORTED_PLAN_FEATURES, 402, false),
    ] {
        let json = json!({"errors": [{"code": code}]});
        let status = StatusCode::from_u16(status).unwrap();
        let error = Error::api(status, from_value(json).unwrap());
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.is_quota_exceeded(), is_quota, "{code}");
    }
}
