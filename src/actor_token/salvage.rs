//! The id in an answer that cannot be read as a whole: cut short, followed by garbage, malformed.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny};

use super::{ActorToken, lenient::Text};
use crate::ActorTokenId;

/// What some editors and proxies put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl ActorToken {
    /// The id of the token that `answer` begins to describe: the first one at the top level, if it
    /// came whole. One that is nested elsewhere, in `actor` for instance, does not count.
    pub(crate) fn salvage_id(answer: &[u8]) -> Option<ActorTokenId> {
        let answer = answer.strip_prefix(BYTE_ORDER_MARK).unwrap_or(answer);
        let mut found = None;
        let mut json = serde_json::Deserializer::from_slice(answer);
        // What ends the reading does not matter, only what was found until then.
        let _ = Salvage { found: &mut found }.deserialize(&mut json);
        ActorTokenId::try_from(found?).ok()
    }
}

/// Notes the first `id` of an object, or of the first object in an array.
struct Salvage<'a> {
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Salvage<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Salvage<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an actor token, or the beginning of one")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            if key.0 {
                *self.found = map.next_value::<Text>()?.0;
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        seq.next_element_seed(self).map(|_| ())
    }
}

/// Whether a key is `id`.
struct Key(bool);

impl<'de> de::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl de::Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Key(key == "id"))
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
    fn nothing_is_made_up() {
        for answer in [
            "",
            "null",
            "[]",
            "\"act_1\"",
            "{}",
            "<html>",
            r#"{"id":7}"#,
            r#"{"id":"../x"}"#,
            r#"{"actor":{"id":"act_1"}}"#,
            r#"["act_1"]"#,
        ] {
            assert_eq!(salvaged(answer), None, "{answer}");
        }
        assert_eq!(salvaged(&"[".repeat(100_000)), None);
    }
}
