//! Reads the error body of the API as far as it goes.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};

use super::{ClerkError, ClerkErrors, details::details, odd::OddBody};
use crate::{
    lenient::{self, Lenient, Text},
    text::presentable,
};

const MAX_ERRORS: usize = 32;

impl ClerkErrors {
    /// Reads an error body. Whatever of it can be read is kept, and of what stands there twice the
    /// last; `None` when it is not a JSON object with an array `errors` or a trace id.
    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        // One look at the whole is cheaper than one at every text in it.
        let wire: Result<WireErrors<'_>, _> = match std::str::from_utf8(body) {
            // A derived visitor would take it.
            _ if body.trim_ascii_start().starts_with(b"[") => return None,
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(body),
        };
        if let Ok(wire) = wire {
            return Self::of(wire.errors, wire.clerk_trace_id);
        }
        let body = String::from_utf8_lossy(body);
        let odd = OddBody::read(&body)?;
        Self::of(odd.errors, odd.clerk_trace_id)
    }

    fn of(errors: Option<Vec<ClerkError>>, Text(trace_id): Text<'_>) -> Option<Self> {
        let clerk_trace_id = trace_id.map(presentable);
        let clerk_trace_id = clerk_trace_id.filter(|id| id.contains(|c: char| !c.is_whitespace()));
        if errors.is_none() && clerk_trace_id.is_none() {
            return None;
        }
        Some(Self {
            errors: errors.unwrap_or_default(),
            clerk_trace_id,
        })
    }
}

#[derive(Deserialize)]
struct WireErrors<'a> {
    #[serde(default, deserialize_with = "lenient_errors")]
    errors: Option<Vec<ClerkError>>,
    #[serde(default, borrow)]
    clerk_trace_id: Text<'a>,
}

fn lenient_errors<'de, D>(deserializer: D) -> Result<Option<Vec<ClerkError>>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(CappedVisitor(PhantomData::<Entry>))
}

/// Keeps the first entries of an array and skips the rest without building them.
pub(super) struct CappedVisitor<T>(pub(super) PhantomData<T>);

impl<'de, T: Deserialize<'de> + Into<ClerkError>> de::Visitor<'de> for CappedVisitor<T> {
    type Value = Option<Vec<ClerkError>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of errors")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut errors = Vec::new();
        while errors.len() < MAX_ERRORS {
            match seq.next_element::<T>()? {
                Some(entry) => errors.push(entry.into()),
                None => return Ok(Some(errors)),
            }
        }
        while seq.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(Some(errors))
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

impl From<Entry> for ClerkError {
    fn from(Entry(error): Entry) -> Self {
        error
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
    fn what_no_reader_takes_costs_neither_the_code_nor_the_trace_id() {
        let deep = format!("{}{}", "[".repeat(130), "]".repeat(130));
        let meta = format!(r#"{{"a":{deep}}}"#);
        for odd in [
            r#""meta":{"a":1e400}"#,
            r#""meta":{"a":"\ud800"}"#,
            &format!(r#""meta":{meta}"#),
            r#""message":1e400"#,
            r#""message":"\ud800""#,
            r#""\ud800":1,"long_message":"\ud800""#,
        ] {
            let body =
                format!(r#"{{"errors":[7,1e400,{{{odd},"c\u006fde":"a"}}],"clerk_trace_id":"t"}}"#);
            let errors = ClerkErrors::from_json(body.as_bytes()).expect(&body);
            assert_eq!(errors.code(), Some("a"), "{body}");
            assert_eq!(errors.clerk_trace_id.as_deref(), Some("t"), "{body}");
            let [first, second, third] = &errors.errors[..] else {
                panic!("{errors:?}");
            };
            assert_eq!([first, second], [&ClerkError::default(); 2]);
            assert_eq!(third, &ClerkError::new("a", "", ""));
        }
        let garbled = b"{\"errors\":[{\"message\":\"a\xff\"}],\"clerk_trace_id\":1e400}";
        let errors = ClerkErrors::from_json(garbled).unwrap();
        assert_eq!(errors.errors, [ClerkError::new("", "a\u{fffd}", "")]);
    }

    #[test]
    fn of_what_stands_there_twice_the_last_counts() {
        let body = r#"{"errors":[{"code":"a","code":"b"}],"clerk_trace_id":"t","errors":[{"code":"c"},{}],"clerk_trace_id":"u"}"#;
        let errors = ClerkErrors::from_json(body.as_bytes()).unwrap();
        assert_eq!((errors.code(), errors.errors.len()), (Some("c"), 2));
        assert_eq!(errors.clerk_trace_id.as_deref(), Some("u"));
    }

    #[test]
    fn the_trace_id_is_kept_whatever_became_of_the_errors() {
        for errors in ["{}", "null", "7", "1e400", r#""\ud800""#, "[]"] {
            for body in [
                format!(r#"{{"errors":{errors},"clerk_trace_id":"t"}}"#),
                r#"{"clerk_trace_id":"t"}"#.to_owned(),
            ] {
                let errors = ClerkErrors::from_json(body.as_bytes()).expect(&body);
                assert_eq!(errors.clerk_trace_id.as_deref(), Some("t"), "{body}");
                assert!(errors.errors.is_empty());
            }
        }
    }

    #[test]
    fn a_trace_id_of_which_nothing_shows_is_none() {
        for blank in ["", " ", r"\u0007\n", r"\u200b "] {
            let body = format!(r#"{{"errors":[],"clerk_trace_id":"{blank}"}}"#);
            let errors = ClerkErrors::from_json(body.as_bytes()).unwrap();
            assert_eq!(errors.clerk_trace_id, None, "{body}");
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
            r#"{"errors":1e400}"#,
            r#"{"errors":{},"clerk_trace_id":""}"#,
            r#"[[{"code":"x"}],"t"]"#,
            r#"[{"errors":[{"code":"x"}]}]"#,
            r#"{"errors":[{"code":"x"}]} x"#,
            r#"{"errors":[{"code":"x"}]"#,
        ] {
            assert_eq!(ClerkErrors::from_json(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_million_errors_are_capped() {
        let body = format!(r#"{{"errors":[{}{{}}]}}"#, "{},".repeat(100_000));
        let odd = body.replacen("{}", r#"{"message":1e400}"#, 1);
        for body in [body, odd] {
            let errors = ClerkErrors::from_json(body.as_bytes()).unwrap();
            assert_eq!(errors.errors.len(), 32);
        }
    }
}
