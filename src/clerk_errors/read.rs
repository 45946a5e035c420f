//! Reads the error body of the API as far as it goes.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::{ClerkError, ClerkErrors, details::details};
use crate::{
    lenient::{self, Lenient, Text},
    text::presentable,
};

const MAX_ERRORS: usize = 32;

impl ClerkErrors {
    /// Reads an error body. Whatever of it can be read is kept; `None` when it is not a JSON
    /// object with an array `errors`.
    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        // One look at the whole is cheaper than one at every text in it.
        let wire: Result<WireErrors<'_>, _> = match std::str::from_utf8(body) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(body),
        };
        let WireErrors {
            errors,
            clerk_trace_id: Text(trace_id),
        } = wire.ok()?;
        let Capped(errors) = errors?;
        Some(Self {
            errors,
            clerk_trace_id: trace_id.filter(|id| !id.is_empty()).map(presentable),
        })
    }
}

#[derive(Deserialize)]
struct WireErrors<'a> {
    #[serde(default, deserialize_with = "lenient_errors")]
    errors: Option<Capped>,
    #[serde(default, borrow)]
    clerk_trace_id: Text<'a>,
}

struct Capped(Vec<ClerkError>);

fn lenient_errors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Capped>, D::Error> {
    deserializer.deserialize_any(CappedVisitor)
}

/// Keeps the first entries of an array and skips the rest without building them.
struct CappedVisitor;

impl<'de> de::Visitor<'de> for CappedVisitor {
    type Value = Option<Capped>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of errors")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut errors = Vec::new();
        while errors.len() < MAX_ERRORS {
            match seq.next_element()? {
                Some(Entry(error)) => errors.push(error),
                None => return Ok(Some(Capped(errors))),
            }
        }
        while seq.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(Some(Capped(errors)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// An entry of the array, empty where it is no object. Of a field that stands there twice the last
/// counts.
#[derive(Default)]
struct Entry(ClerkError);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Code,
    Message,
    LongMessage,
    Meta,
    #[serde(other)]
    Unknown,
}

impl<'de> Lenient<'de> for Entry {
    fn of_object<A: de::MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut error = ClerkError::default();
        while let Some(field) = object.next_key()? {
            let text = match field {
                Field::Code => &mut error.code,
                Field::Message => &mut error.message,
                Field::LongMessage => &mut error.long_message,
                Field::Meta => {
                    error.meta = details(object.next_value()?);
                    continue;
                }
                Field::Unknown => {
                    object.next_value::<de::IgnoredAny>()?;
                    continue;
                }
            };
            let Text(value) = object.next_value()?;
            *text = value.map(presentable).unwrap_or_default();
        }
        Ok(Self(error))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_body_is_kept() {
        let body = br#"{"errors":[{"message":"is missing","long_message":"actor.sub must be included.","code":"form_param_missing","meta":{"param_name":"actor.sub"}}],"clerk_trace_id":"t1"}"#;
        let errors = ClerkErrors::from_json(body).unwrap();
        assert_eq!(errors.code(), Some("form_param_missing"));
        assert_eq!(errors.clerk_trace_id.as_deref(), Some("t1"));
        assert_eq!(errors.errors[0].meta["param_name"], "actor.sub");
        assert_eq!(errors.errors[0].to_string(), "actor.sub must be included.");
    }

    #[test]
    fn partial_bodies_are_read_as_far_as_they_go() {
        let errors = ClerkErrors::from_json(br#"{"errors":[{"code":"a"},{},7,null]}"#).unwrap();
        assert_eq!(errors.errors.len(), 4);
        assert_eq!(errors.errors[1].to_string(), "no message");
        let odd = br#"{"errors":[{"code":7,"message":null,"meta":[]}],"clerk_trace_id":7}"#;
        assert_eq!(
            ClerkErrors::from_json(odd).unwrap().errors[0],
            ClerkError::default()
        );
    }

    #[test]
    fn what_nobody_reads_costs_nothing_however_odd() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for odd in [b"1e400", &br#""\ud800""#[..], b"\"\xff\"", deep.as_bytes()] {
            let entry = [br#"{"errors":[{"odd":"#, odd, br#","code":"a"}]}"#].concat();
            let top = [br#"{"odd":"#, odd, br#","errors":[{"code":"a"}]}"#].concat();
            for body in [entry, top] {
                let errors = ClerkErrors::from_json(&body);
                assert_eq!(errors.unwrap().code(), Some("a"), "{}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn what_has_no_array_is_not_an_error_body() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"errors":{}}"#,
            r#"{"errors":null}"#,
        ] {
            assert_eq!(ClerkErrors::from_json(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_million_errors_are_capped() {
        let body = format!(r#"{{"errors":[{}{{}}]}}"#, "{},".repeat(100_000));
        assert_eq!(
            ClerkErrors::from_json(body.as_bytes())
                .unwrap()
                .errors
                .len(),
            32
        );
    }
}
