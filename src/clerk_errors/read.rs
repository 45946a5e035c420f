//! Reads the error body of the API as far as it goes.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::{ClerkError, ClerkErrors};
use crate::text::presentable;

/// How many errors, and how many entries of a list or an object in their details, are kept.
const MAX_ENTRIES: usize = 32;
const MAX_META_BYTES: usize = 1024;
const MAX_META_DEPTH: usize = 4;

impl ClerkErrors {
    /// Reads an error body. Whatever of it can be read is kept; `None` when it is not a JSON
    /// object with an array `errors`.
    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        let wire: WireErrors = serde_json::from_slice(body).ok()?;
        let Capped(errors) = wire.errors?;
        Some(Self {
            errors,
            clerk_trace_id: wire
                .clerk_trace_id
                .filter(|id| !id.is_empty())
                .map(|id| presentable(&id)),
        })
    }
}

impl ClerkError {
    fn from_value(value: &Value) -> Self {
        let text = |key| {
            value
                .get(key)
                .and_then(Value::as_str)
                .map(presentable)
                .unwrap_or_default()
        };
        let meta = value.get("meta").and_then(Value::as_object).cloned();
        Self {
            code: text("code"),
            message: text("message"),
            long_message: text("long_message"),
            meta: meta
                .map(|meta| clean_map(meta, MAX_META_DEPTH))
                .filter(is_small)
                .unwrap_or_default(),
        }
    }
}

/// Every text inside `value` made presentable, and every list and object cut to 32
/// entries and `depth` levels.
fn clean(value: Value, depth: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::Null,
        Value::String(text) => Value::String(presentable(&text)),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .take(MAX_ENTRIES)
                .map(|item| clean(item, depth - 1))
                .collect(),
        ),
        Value::Object(map) => Value::Object(clean_map(map, depth - 1)),
        other => other,
    }
}

/// Whether details are of a size that somebody may read.
fn is_small(meta: &Map<String, Value>) -> bool {
    serde_json::to_vec(meta).is_ok_and(|json| json.len() <= MAX_META_BYTES)
}

fn clean_map(map: Map<String, Value>, depth: usize) -> Map<String, Value> {
    map.into_iter()
        .take(MAX_ENTRIES)
        .map(|(key, value)| (presentable(&key), clean(value, depth)))
        .collect()
}

#[derive(Deserialize)]
struct WireErrors {
    #[serde(default, deserialize_with = "lenient_errors")]
    errors: Option<Capped>,
    #[serde(default, deserialize_with = "lenient_text")]
    clerk_trace_id: Option<String>,
}

struct Capped(Vec<ClerkError>);

fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

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
        while errors.len() < MAX_ENTRIES {
            match seq.next_element::<Value>()? {
                Some(value) => errors.push(ClerkError::from_value(&value)),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn details_that_nobody_could_read_are_left_out() {
        let body = |len: usize| {
            let text = "x".repeat(400);
            let items = vec![format!("\"{text}\""); len].join(",");
            format!(r#"{{"errors":[{{"code":"c","meta":{{"list":[{items}]}}}}]}}"#)
        };
        let read = |len| {
            ClerkErrors::from_json(body(len).as_bytes())
                .unwrap()
                .errors
                .remove(0)
        };
        assert_eq!(read(2).meta["list"].as_array().unwrap().len(), 2);
        assert!(read(3).meta.is_empty() && read(3).code == "c");
    }

    #[test]
    fn details_are_kept_up_to_a_kibibyte_of_json() {
        for (len, kept) in [(0, true), (198, true), (199, false), (400, false)] {
            let meta = json!({"a": "\"\\".repeat(200), "b": ["é", "x".repeat(len), 1.5]});
            assert_eq!(meta.to_string().len(), 826 + len);
            let body = json!({"errors": [{"meta": meta}]}).to_string();
            let read = ClerkErrors::from_json(body.as_bytes()).unwrap();
            let expected = meta.as_object().filter(|_| kept).cloned();
            assert_eq!(read.errors[0].meta, expected.unwrap_or_default(), "{len}");
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
