//! [`Salvaged`], the id in a response that is incomplete or malformed.

use std::borrow::Cow;

use super::ActorToken;
use crate::{ActorTokenId, lenient};

/// The ids that were read from such a response.
pub(crate) struct Salvaged {
    pub(crate) id: ActorTokenId,
    pub(crate) user_id: Option<String>,
}

impl ActorToken {
    /// Reads `response` as far as it is JSON and returns the first `id` and the first `user_id` in its
    /// object. Nested ids, as in `actor`, do not count.
    pub(crate) fn salvage(response: &[u8]) -> Option<Salvaged> {
        // Invalid bytes, a byte order mark or an array around the object do not hide the id.
        let response = String::from_utf8_lossy(response);
        let object = response
            .trim_start_matches(|c: char| c == '\u{feff}' || c == '[' || c.is_ascii_whitespace());
        let (mut id, mut user_id) = (None, None);
        // The error does not matter: the members before it were read.
        let _ = lenient::members(object, |name, value| match name {
            "id" => _ = id.get_or_insert_with(|| lenient::text(value)),
            "user_id" => _ = user_id.get_or_insert_with(|| lenient::text(value)),
            _ => {}
        });
        Some(Salvaged {
            id: id??.parse().ok()?,
            user_id: user_id
                .flatten()
                .filter(|user_id| !user_id.contains(char::REPLACEMENT_CHARACTER))
                .map(Cow::into_owned),
        })
    }

    /// Returns only the id.
    pub(crate) fn salvage_id(response: &[u8]) -> Option<ActorTokenId> {
        Self::salvage(response).map(|found| found.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salvaged(response: impl AsRef<[u8]>) -> Option<String> {
        ActorToken::salvage_id(response.as_ref()).map(|id| id.to_string())
    }

    #[test]
    fn id_is_found_as_soon_as_it_is_complete() {
        let response = r#"{"object":"actor_token","actor":{"id":"nested","sub":"x"},"id":"act_1","token":"t"}"#;
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
        for odd in ["1e400", r#""\ud800""#, deep.as_str()] {
            for name in ["created_at", "status", r"\ud800"] {
                let json = format!(r#"{{"{name}":{odd},"id":"act_1","user_id":"user_\u0031","#);
                let found = ActorToken::salvage(json.as_bytes()).expect(&json);
                assert_eq!(found.id.as_str(), "act_1");
                assert_eq!(found.user_id.as_deref(), Some("user_1"), "{json}");
            }
        }
        assert!(salvaged(b"{\"\xff\":1,\"id\":\"act_1\"").is_some());
    }

    #[test]
    fn unreadable_user_id_is_absent() {
        for user_id in [&b"1e400"[..], br#""\ud800""#, b"\"\xff\"", b"null"] {
            let json = [br#"{"user_id":"#, user_id, br#","id":"act_1","#].concat();
            let found = ActorToken::salvage(&json).unwrap();
            assert_eq!(found.id.as_str(), "act_1");
            assert_eq!(found.user_id, None);
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
}
