//! An actor token survives a round trip through JSON, and other JSON is refused.

use std::{
    iter,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{Actor, ActorToken, ActorTokenStatus};
use serde_json::{Value, json};

const FULL: &str = r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2","reason":"r"},"status":"pending","token":"eyJ","url":"https://x/v1/tickets/accept?ticket=eyJ","created_at":1700000000123,"updated_at":1700000000456}"#;

fn read(json: &str) -> ActorToken {
    ActorToken::from_json(json.as_bytes()).expect(json)
}

fn refused(json: impl AsRef<[u8]>) -> String {
    let token = ActorToken::from_json(json.as_ref());
    token.expect_err("it was accepted").to_string()
}

fn time(millis: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

fn brackets(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[test]
fn full_token_is_read_and_written_in_full() {
    let token = read(FULL);
    assert_eq!(token.id().as_str(), "act_1");
    assert_eq!(token.user_id(), Some("user_1"));
    let actor = Actor::new("user_2").claim("reason", "r");
    assert_eq!(token.actor(), Some(&actor));
    assert_eq!(token.status(), &ActorTokenStatus::Pending);
    assert_eq!(token.ticket().unwrap().expose_token(), Some("eyJ"));
    assert_eq!(token.created_at(), time(1_700_000_000_123));
    assert_eq!(String::from_utf8(token.expose_json()).unwrap(), FULL);
    let shown = format!("{token:?}");
    assert!(!shown.contains("eyJ"), "{shown}");
    assert!(!shown.contains("user_"), "{shown}");
}

#[test]
fn escapes_and_spaces_are_read() {
    let token = read("{ \"i\\u0064\" : \"act_\\u0031\",\n\"token\":\"\\ud83d\\ude00\" } ");
    assert_eq!(token.id().as_str(), "act_1");
    assert_eq!(token.ticket().unwrap().expose_token(), Some("😀"));
}

#[test]
fn id_alone_is_enough() {
    let token = read(r#"{"id":"act_1"}"#);
    assert_eq!(token.status(), &ActorTokenStatus::Other(String::new()));
    assert!(token.ticket().is_none() && token.user_id().is_none() && token.actor().is_none());
    assert!(token.created_at().is_none() && token.updated_at().is_none());
}

#[test]
fn field_of_another_type_is_absent() {
    let wrong = ["null", "-1", "1.5", "true", "{}", "[\"x\"]", "{\"x\":{}}"];
    for field in "user_id status url created_at updated_at actor new".split(' ') {
        for unreadable in wrong {
            let json = format!(r#"{{"{field}":{unreadable},"id":"act_1","token":"t"}}"#);
            let token = String::from_utf8(read(&json).expose_json()).unwrap();
            let bare = r#"{"object":"actor_token","id":"act_1","status":"","token":"t"}"#;
            assert_eq!(token, bare, "{json}");
        }
    }
    for unreadable in [r#""1""#, "1e3", "18446744073709551616"] {
        let json = format!(r#"{{"created_at":{unreadable},"id":"a","updated_at":7}}"#);
        let token = read(&json);
        assert_eq!((token.created_at(), token.updated_at()), (None, time(7)));
    }
    read(&format!(r#"{{"new":{},"id":"a"}}"#, brackets(100_000)));
}

#[test]
fn token_and_url_may_be_null_absent_or_empty() {
    for fields in [r#""token":null,"url":null"#, r#""token":"","url":"""#] {
        let token = read(&format!(r#"{{"id":"a",{fields}}}"#));
        assert!(token.ticket().is_none());
    }
    let half = read(r#"{"id":"a","token":"","url":"https://x"}"#);
    let ticket = half.ticket().unwrap();
    assert_eq!(ticket.expose_url(), Some("https://x"));
    assert_eq!(ticket.expose_token(), None);
}

#[test]
fn unknown_status_is_kept_and_cleaned() {
    let token = read(r#"{"id":"a","status":"paused"}"#);
    assert_eq!(token.status(), &ActorTokenStatus::Other("paused".into()));
    let hostile = read("{\"id\":\"a\",\"status\":\"\u{61c}sk_test_marker\\u001b\"}");
    assert_eq!(hostile.status().as_str(), "sk_[redacted]");
}

#[test]
fn other_json_is_refused_and_not_shown() {
    for json in [
        "",
        "null",
        "[]",
        "\"marker\"",
        "7",
        "{}",
        r#" ["act_1","marker"]"#,
        r#"{"id":7,"token":"marker"}"#,
        r#"{"id":"../marker"}"#,
        r#"{"id":"a","id":"b","token":"marker"}"#,
        r#"{"id":"a","token":"marker","token":"b"}"#,
        r#"{"id":"a"} "marker""#,
        r#"{"id":"a","created_at":NaN,"token":"marker"}"#,
        r#"{"\ud800":1,"id":"a","token":"marker"}"#,
        "\u{feff}{\"id\":\"a\",\"token\":\"marker\"}",
    ] {
        let error = refused(json);
        assert!(!error.contains("marker"), "{error}");
    }
    refused(b"{\"id\":\"a\",\"token\":\"\xff\"}");
    refused("[".repeat(100_000));
}

#[test]
fn incomplete_json_is_refused() {
    for cut in 1..FULL.len() {
        assert!(refused(&FULL[..cut]).contains("ends early"), "{cut}");
    }
}

#[test]
fn unreadable_credential_or_actor_is_refused_with_its_line() {
    for (field, value) in [
        ("token", r#""marker\ud800""#.to_owned()),
        ("url", r#""marker\ud800""#.to_owned()),
        ("actor", brackets(100_000)),
        ("actor", format!(r#"{{"sub":"a","c":{}}}"#, brackets(1000))),
        ("actor", r#"{"sub":"marker\ud800"}"#.into()),
        ("actor", r#"{"sub":7,"marker":"\udc00"}"#.into()),
        ("actor", r#"{"sub":"a","n":1e400}"#.into()),
        ("actor", "1e400".into()),
    ] {
        let error = refused(format!("{{\"id\":\"a\",\n\"{field}\":{value},\"new\":1}}"));
        assert!(error.contains("JSON of a token, at line 2"), "{error}");
    }
}

#[test]
fn token_and_url_of_a_ticket_are_kept_whether_or_not_they_overlap() {
    for (token, url) in [
        (Some("eyJ"), Some("https://x/?ticket=eyJ")),
        (Some("eyJ"), Some("https://x/")),
        (Some("eyJ"), None),
        (None, Some("https://x/")),
        (Some("https://x/"), Some("https://x/")),
    ] {
        let json = json!({"id": "act_1", "token": token, "url": url}).to_string();
        let token_read = read(&json);
        let ticket = token_read.ticket().unwrap();
        assert_eq!((ticket.expose_token(), ticket.expose_url()), (token, url));
    }
}

#[test]
fn number_in_a_claim_is_read_exactly() {
    let mut random = fastrand::Rng::with_seed(1);
    let random = iter::repeat_with(|| f64::from_bits(random.u64(..))).filter(|it| it.is_finite());
    let edges = [1.2222222222222219e64, 0.1, f64::MAX, f64::MIN_POSITIVE];
    for number in edges.into_iter().chain(random.take(1000)) {
        let claim = Value::from(number);
        let actor = format!(r#"{{"sub":"user_2","claim":{claim}}}"#);
        let token = read(&format!(r#"{{"id":"act_1","actor":{actor}}}"#));
        assert_eq!(token.actor().unwrap().claims()["claim"], claim);
        let actor: Actor = serde_json::from_str(&actor).unwrap();
        assert_eq!(actor.claims()["claim"], claim);
    }
}
