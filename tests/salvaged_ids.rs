//! The id of a minted token is salvaged from an incomplete or malformed response, so that the token can be
//! revoked.

mod support {
    pub(crate) mod response;
    pub(crate) mod scripted;
}

use clerk_actor_tokens::{
    Actor, ClientBuilder, CreateActorToken, Error, ErrorKind, SecretKey, layer::SettleLayer,
};
use futures_util::FutureExt;
use support::{response::response, scripted::Scripted};

/// Returns the error of a create for `user_1` with this 200.
fn unusable(body: impl AsRef<[u8]>) -> Error {
    let body = body.as_ref().to_vec();
    let transport = Scripted::new([response(200, &[], body)]);
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport.clone())
        .settle(SettleLayer::disabled())
        .max_response_bytes(1 << 20)
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    let _entered = runtime.enter();
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let ended = client.create(create).now_or_never();
    assert_eq!(transport.sent().len(), 1);
    let error = ended.expect("the call is ready at once").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnreadableResponse);
    error
}

fn salvaged(body: impl AsRef<[u8]>) -> Option<String> {
    let error = unusable(body);
    error.actor_token_id().map(ToString::to_string)
}

fn is_about_another_user(body: impl AsRef<[u8]>) -> bool {
    unusable(body).to_string().contains("is about another user")
}

#[test]
fn id_is_found_as_soon_as_it_is_complete() {
    let response =
        r#"{"object":"actor_token","actor":{"id":"nested","sub":"x"},"id":"act_1","token":"t"}"#;
    let complete = response.find("act_1\"").unwrap() + "act_1\"".len();
    for cut in 0..=response.len() {
        let id = salvaged(&response[..cut]);
        assert_eq!(id.as_deref(), (cut >= complete).then_some("act_1"), "{cut}");
    }
}

#[test]
fn id_is_found_whatever_follows_or_surrounds_it() {
    for response in [
        r#"{"id":"act_1","token":"\ud800"}"#,
        r#"{"id":"act_1","created_at":NaN}"#,
        r#"{"id":"act_1"} garbage"#,
        r#"{"id":"act_1"}{"id":"act_2"}"#,
        r#"{"id":"act_1","id":"act_2"}"#,
        r#"[{"id":"act_1"}]"#,
        "\u{feff} {\"id\":\"act_1\"}",
    ] {
        assert_eq!(salvaged(response).as_deref(), Some("act_1"), "{response}");
    }
}

#[test]
fn ids_are_found_after_an_unreadable_value_or_name() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for unreadable in ["1e400", r#""\ud800""#, deep.as_str()] {
        for name in ["created_at", "status", r"\ud800"] {
            let json = format!(r#"{{"{name}":{unreadable},"id":"act_1","user_id":"user_\u0031","#);
            for (json, is_foreign) in [(&json, false), (&json.replace("\\u0031", "9"), true)] {
                assert_eq!(salvaged(json).as_deref(), Some("act_1"), "{json}");
                assert_eq!(is_about_another_user(json), is_foreign, "{json}");
            }
        }
    }
    assert!(salvaged(b"{\"\xff\":1,\"id\":\"act_1\"").is_some());
}

#[test]
fn unreadable_user_id_is_absent() {
    for user_id in [&b"1e400"[..], br#""\ud800""#, b"\"\xff\"", b"null"] {
        let json = [br#"{"user_id":"#, user_id, br#","id":"act_1","#].concat();
        assert_eq!(salvaged(&json).as_deref(), Some("act_1"));
        assert!(!is_about_another_user(&json));
    }
}

#[test]
fn response_without_a_valid_id_gives_none() {
    for response in [
        "",
        "null",
        "[]",
        "\"act_1\"",
        "{}",
        "<html>",
        r#"{"id":7}"#,
        r#"{"id":7,"id":"act_1"}"#,
        r#"{"id":1e400}"#,
        r#"{"id":"\ud800"}"#,
        r#"{"id":"act_\ud800"}"#,
        r#"{"id":"../x"}"#,
        r#"{"actor":{"id":"act_1"}}"#,
        r#"["act_1"]"#,
        r#"{"created_at":NaN,"id":"act_1"}"#,
    ] {
        assert_eq!(salvaged(response), None, "{response}");
    }
    for open in ["[", r#"{"a":"#] {
        assert_eq!(salvaged(open.repeat(100_000)), None);
    }
}
