//! [`Wire`], an actor token as JSON.

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{ActorToken, InvalidActorToken, Ticket};
use crate::Actor;

/// The fields of an actor token. A field that is null, missing or of the wrong type is absent.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(skip_deserializing)]
    object: &'static str,
    #[serde(borrow, deserialize_with = "text")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "actor", skip_serializing_if = "Option::is_none")]
    actor: Option<Cow<'a, Actor>>,
    #[serde(borrow, deserialize_with = "text")]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    /// In milliseconds since 1970.
    #[serde(deserialize_with = "millis", skip_serializing_if = "Option::is_none")]
    created_at: Option<u64>,
    #[serde(deserialize_with = "millis", skip_serializing_if = "Option::is_none")]
    updated_at: Option<u64>,
}

fn text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    match json.deserialize_any(ScalarVisitor)? {
        Scalar::Text(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

fn millis<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    match json.deserialize_any(ScalarVisitor)? {
        Scalar::Number(millis) => Ok(Some(millis)),
        _ => Ok(None),
    }
}

fn actor<'de, 'a, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'a, Actor>>, D::Error> {
    let actor = serde_json::from_value(Value::deserialize(json)?);
    Ok(actor.ok().map(Cow::Owned))
}

/// A value of any type, of which only strings and whole numbers matter.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Other,
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

impl ActorToken {
    /// Reads a token from JSON as the API sends it.
    ///
    /// Only the `id` is required. Any other field that is null, missing or of the wrong type is
    /// absent.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON object that serde_json can read, when it has no valid `id`, or when
    /// one of the token's fields occurs twice.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidActorToken> {
        // A derived struct accepts an array of its fields as well.
        if json.trim_ascii_start().starts_with(b"[") {
            return Err(InvalidActorToken::array());
        }
        let wire: Wire<'_> =
            serde_json::from_slice(json).map_err(|error| InvalidActorToken::json(&error))?;
        let id = wire.id.and_then(|id| id.parse().ok());
        Ok(Self {
            id: id.ok_or(InvalidActorToken::without_id())?,
            user_id: wire.user_id.map(Cow::into_owned),
            actor: wire.actor.map(Cow::into_owned),
            status: wire.status.as_deref().unwrap_or_default().into(),
            ticket: Ticket::new(wire.token.as_deref(), wire.url.as_deref()),
            created_at: wire.created_at.and_then(to_time),
            updated_at: wire.updated_at.and_then(to_time),
            expires_at: None,
        })
    }

    /// Returns the token as JSON **with its credential**, for services that pass it on. This
    /// [claims](Ticket::claim) the token.
    #[must_use]
    pub fn expose_json(&self) -> Vec<u8> {
        let ticket = self.ticket();
        let wire = Wire {
            object: "actor_token",
            id: Some(self.id.as_str().into()),
            user_id: self.user_id().map(Cow::Borrowed),
            actor: self.actor().map(Cow::Borrowed),
            status: Some(self.status.as_str().into()),
            token: ticket.and_then(Ticket::expose_token).map(Cow::Borrowed),
            url: ticket.and_then(Ticket::expose_url).map(Cow::Borrowed),
            created_at: self.created_at.and_then(to_millis),
            updated_at: self.updated_at.and_then(to_millis),
        };
        // Strings, numbers and maps with string keys always encode.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

fn to_time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn to_millis(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActorTokenStatus;

    const FULL: &str = r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2","reason":"r"},"status":"pending","token":"eyJ","url":"https://x/v1/tickets/accept?ticket=eyJ","created_at":1700000000123,"updated_at":1700000000456}"#;

    fn read(json: &str) -> ActorToken {
        ActorToken::from_json(json.as_bytes()).expect(json)
    }

    fn refused(json: impl AsRef<[u8]>) -> String {
        let token = ActorToken::from_json(json.as_ref());
        token.expect_err("it was accepted").to_string()
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
        assert_eq!(token.created_at(), to_time(1_700_000_000_123));
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
    fn unknown_field_or_one_of_another_type_is_absent() {
        let wrong = ["null", "-1", "1.5", "true", "{}", "[\"x\"]", "{\"x\":{}}"];
        for field in "user_id status url created_at updated_at actor new".split(' ') {
            for odd in wrong {
                let json = format!(r#"{{"{field}":{odd},"id":"act_1","token":"t"}}"#);
                let token = String::from_utf8(read(&json).expose_json()).unwrap();
                let bare = r#"{"object":"actor_token","id":"act_1","status":"","token":"t"}"#;
                assert_eq!(token, bare, "{json}");
            }
        }
        for time in [r#""1""#, "1e3", "18446744073709551616"] {
            let json = format!(r#"{{"created_at":{time},"id":"a","updated_at":7}}"#);
            let token = read(&json);
            assert_eq!((token.created_at(), token.updated_at()), (None, to_time(7)));
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
    fn unknown_status_is_kept_and_made_presentable() {
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
            r#"{"id":"a","created_at":1e400,"token":"marker"}"#,
            r#"{"id":"a","status":"\ud800","token":"marker"}"#,
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
    fn incomplete_json_is_refused_wherever_it_ends() {
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
}
