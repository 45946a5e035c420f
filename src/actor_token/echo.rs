//! [`Echo`], the actor in an answer.

use std::sync::OnceLock;

use memchr::memchr2;
use serde_json::Value;

use crate::Actor;

/// The actor in an answer, which is read when somebody asks for it. It mostly says what the caller
/// said before.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    raw: Option<Box<str>>,
    read: OnceLock<Option<Box<Actor>>>,
}

impl Echo {
    /// The actor in `raw`, absent where something else stands. `None` when no reader takes it: that
    /// may be anything, and the session would be signed in by nobody knows whom.
    pub(super) fn of(raw: Option<&str>) -> Option<Self> {
        let Some(raw) = raw else {
            return Some(Self::default());
        };
        if is_plain(raw) {
            return Some(Self {
                raw: Some(raw.into()),
                read: OnceLock::new(),
            });
        }
        let actor = match serde_json::from_str(raw) {
            Ok(actor) => Some(Box::new(actor)),
            // Its type is told before its depth, and must not hide it.
            Err(_) => match serde_json::from_str::<Value>(raw) {
                Err(error) if error.is_syntax() => return None,
                _ => None,
            },
        };
        Some(Self {
            raw: None,
            read: OnceLock::from(actor),
        })
    }

    pub(super) fn get(&self) -> Option<&Actor> {
        let read = || serde_json::from_str(self.raw.as_deref()?).ok();
        self.read.get_or_init(read).as_deref()
    }
}

impl From<Actor> for Echo {
    fn from(actor: Actor) -> Self {
        Self {
            raw: None,
            read: OnceLock::from(Some(Box::new(actor))),
        }
    }
}

/// Whether a JSON value can be told to be readable at a glance: too short to be nested deeper than
/// readers go, without escapes, and without numbers that could be too large.
fn is_plain(raw: &str) -> bool {
    raw.len() < 256 && (is_sub_alone(raw.as_bytes()) || is_without_odd_numbers(raw))
}

/// Whether it is an object of one text under `sub`, as it mostly is.
fn is_sub_alone(raw: &[u8]) -> bool {
    let text = raw
        .strip_prefix(br#"{"sub":""#)
        .and_then(|raw| raw.strip_suffix(br#""}"#));
    text.is_some_and(|text| memchr2(b'"', b'\\', text).is_none())
}

/// Whether it has neither escapes nor, outside of texts, numbers with exponents.
fn is_without_odd_numbers(raw: &str) -> bool {
    let (mut in_string, mut in_number) = (false, false);
    raw.bytes().all(|byte| {
        match byte {
            b'\\' => return false,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'e' | b'E' if in_number => return false,
            _ => in_number = byte.is_ascii_digit(),
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn echo(raw: &str) -> Option<Echo> {
        let raw: &RawValue = serde_json::from_str(raw).unwrap();
        Echo::of(Some(raw.get()))
    }

    #[test]
    fn what_is_plain_can_be_read() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for raw in [
            "null",
            "7",
            "true",
            r#"{"sub":"user_2xe","a":false}"#,
            r#"{"sub":"user_2e9","1e9":[true,2]}"#,
            &nested(127),
            &format!(r#"{{"sub":"x","n":{}}}"#, "9".repeat(200)),
        ] {
            assert!(is_plain(raw), "{raw}");
            assert!(serde_json::from_str::<Value>(raw).is_ok(), "{raw}");
        }
        for raw in [
            r#"{"sub":"\u0061"}"#,
            r#"{"sub":"a","n":1e400,"m":"b"}"#,
            "1e400",
            "1E5",
            r#"{"sub":"x","n":[2,"",1e400]}"#,
            &nested(128),
            &" ".repeat(256),
        ] {
            assert!(!is_plain(raw), "{raw}");
        }
    }

    #[test]
    fn an_actor_is_the_same_whenever_it_is_read() {
        let padding = "x".repeat(300);
        for raw in [
            r#"{"sub":"user_2","reason":"r"}"#.to_owned(),
            format!(r#"{{"sub":"user_2","more":"{padding}","reason":"r"}}"#),
        ] {
            let echo = echo(&raw).unwrap();
            let actor = echo.get().unwrap();
            assert_eq!(serde_json::to_string(actor).unwrap(), raw);
            assert_eq!(echo.clone().get(), Some(actor));
        }
        for other in ["null", "7", "[]", "{}", r#"{"sub":7}"#] {
            assert_eq!(echo(other).unwrap().get(), None);
        }
        assert!(echo(r#"{"sub":"\ud800"}"#).is_none());
        assert_eq!(Echo::from(Actor::new("a")).get(), Some(&Actor::new("a")));
    }
}
