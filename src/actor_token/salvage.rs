//! The id in an answer that cannot be read as a whole: cut short, followed by garbage, malformed.

use std::{borrow::Cow, fmt};

use serde::de::{self, DeserializeSeed, Deserializer};

use super::{ActorToken, odd_time::without_odd_times};
use crate::{
    ActorTokenId,
    lenient::{self, Text},
};

/// What some editors and proxies put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What could be read of a token in such an answer.
pub(crate) struct Salvaged {
    pub(crate) id: ActorTokenId,
    pub(crate) user_id: Option<String>,
}

impl ActorToken {
    /// The id of the token that `answer` begins to describe.
    pub(crate) fn salvage_id(answer: &[u8]) -> Option<ActorTokenId> {
        Self::salvage(answer).map(|found| found.id)
    }

    /// The token that `answer` begins to describe: the first id at the top level, if it came whole,
    /// and the first user id, if that did. What is nested elsewhere, in `actor` for instance, does
    /// not count.
    pub(crate) fn salvage(answer: &[u8]) -> Option<Salvaged> {
        let answer = answer.strip_prefix(BYTE_ORDER_MARK).unwrap_or(answer);
        let cleaned = without_odd_times(answer);
        // Bytes that are no text cost nothing but the field that they stand in.
        let answer = String::from_utf8_lossy(cleaned.as_deref().unwrap_or(answer));
        let mut found = Found::default();
        let mut json = serde_json::Deserializer::from_str(&answer);
        // What ends the reading does not matter, only what was found until then.
        let _ = Salvage(&mut found).deserialize(&mut json);
        Some(Salvaged {
            id: ActorTokenId::try_from(found.id?.as_deref()?).ok()?,
            user_id: found
                .user_id
                .and_then(|text| text.0)
                .filter(|id| !id.contains(char::REPLACEMENT_CHARACTER))
                .map(Cow::into_owned),
        })
    }
}

#[derive(Default)]
struct Found<'a> {
    id: Option<Text<'a>>,
    user_id: Option<Text<'a>>,
}

/// Notes what stands in an object, or in the first object of an array.
struct Salvage<'a, 'f>(&'f mut Found<'a>);

impl<'de> DeserializeSeed<'de> for Salvage<'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Salvage<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an actor token, or the beginning of one")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = lenient::next_member(&mut map)? {
            let place = match &*name {
                "id" => &mut self.0.id,
                "user_id" => &mut self.0.user_id,
                _ => continue,
            };
            place.get_or_insert_with(|| Text::of(value));
        }
        Ok(())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        seq.next_element_seed(self).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salvaged(answer: &str) -> Option<String> {
        ActorToken::salvage_id(answer.as_bytes()).map(|id| id.to_string())
    }

    #[test]
    fn the_id_is_found_as_soon_as_it_is_whole() {
        let answer = r#"{"object":"actor_token","actor":{"id":"nested","sub":"x"},"id":"act_1","token":"t"}"#;
        let whole = answer.find("act_1\"").unwrap() + "act_1\"".len();
        for cut in 0..=answer.len() {
            let id = salvaged(&answer[..cut]);
            assert_eq!(id.as_deref(), (cut >= whole).then_some("act_1"), "{cut}");
        }
    }

    #[test]
    fn what_follows_or_surrounds_it_does_not_matter() {
        for answer in [
            "{\"id\":\"act_1\",\"token\":\"\\ud800\"}",
            r#"{"id":"act_1"} garbage"#,
            r#"{"id":"act_1"}{"id":"act_2"}"#,
            r#"{"id":"act_1","id":"act_2"}"#,
            r#"[{"id":"act_1"}]"#,
            "\u{feff}{\"id\":\"act_1\"}",
        ] {
            assert_eq!(salvaged(answer).as_deref(), Some("act_1"), "{answer}");
        }
    }

    #[test]
    fn nothing_odd_before_it_hides_it() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for odd in ["1e400", r#""\ud800""#, "NaN", "-Infinity", deep.as_str()] {
            for name in ["created_at", "user_id", r"\ud800"] {
                if name == "created_at" || !["NaN", "-Infinity"].contains(&odd) {
                    let answer = format!(r#"{{"{name}":{odd},"id":"act_1","#);
                    assert_eq!(salvaged(&answer).as_deref(), Some("act_1"), "{answer}");
                }
            }
        }
        for answer in [
            &b"{\"user_id\":\"\xff\",\"id\":\"act_1\""[..],
            b"{\"\xff\":1,\"id\":\"act_1\"",
        ] {
            let found = ActorToken::salvage(answer).unwrap();
            assert_eq!(found.id.as_str(), "act_1");
            // Who knows whose that is.
            assert_eq!(found.user_id, None);
        }
    }

    #[test]
    fn the_user_is_found_wherever_something_odd_stands() {
        for answer in [
            r#"{"created_at":NaN,"id":"act_1","user_id":"user_1""#,
            r#"{"id":"act_1","created_at":NaN,"user_id":"user_1""#,
            r#"{"user_id":"user_1","created_at":Infinity,"id":"act_1""#,
            r#"{"id":"act_1","status":1e400,"user_id":"user_\u0031""#,
        ] {
            let found = ActorToken::salvage(answer.as_bytes()).unwrap();
            assert_eq!(found.user_id.as_deref(), Some("user_1"), "{answer}");
        }
    }

    #[test]
    fn nothing_is_made_up() {
        for answer in [
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
        ] {
            assert_eq!(salvaged(answer), None, "{answer}");
        }
        assert_eq!(salvaged(&"[".repeat(100_000)), None);
    }
}
