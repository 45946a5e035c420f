//! [`ClerkErrors`], the error body of the API, read leniently.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::text::presentable;

/// The error body of the API: `{"errors": [...], "clerk_trace_id": "…"}`.
///
/// Only the array can be relied on. Text has been stripped of control characters, cut to
/// 500 characters a field, and whatever looks like a secret key is masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkErrors {
    /// What is wrong, the first entry being the one that names the call's failure. At most 32 are
    /// kept.
    pub errors: Vec<ClerkError>,
    /// The id by which Clerk's support finds the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clerk_trace_id: Option<String>,
}

/// One entry of [`ClerkErrors`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkError {
    /// The machine-readable code, like `form_param_missing`; empty when the answer had none.
    pub code: String,
    /// A few words; empty when the answer had none.
    pub message: String,
    /// A sentence for people; empty when the answer had none.
    pub long_message: String,
    /// Details, like `param_name` or `limit` and `used`; empty when they exceed 1 KiB. `Debug` and `Serialize` show them as they
    /// came, apart from the cleaning that every text undergoes.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

impl ClerkErrors {
    const MAX_ERRORS: usize = 32;
    const MAX_META_BYTES: usize = 1024;
    const MAX_META_DEPTH: usize = 4;

    /// An error body with one entry, for services that answer like the API.
    #[must_use]
    pub fn new(error: ClerkError) -> Self {
        Self {
            errors: vec![error],
            clerk_trace_id: None,
        }
    }

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

    /// The code of the first error that has one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.errors
            .iter()
            .map(|error| error.code.as_str())
            .find(|code| !code.is_empty())
    }
}

impl ClerkError {
    /// An entry with its code, a few words and a sentence.
    #[must_use]
    pub fn new(
        code: impl Into<String>,
        message: impl Into<String>,
        long_message: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            long_message: long_message.into(),
            meta: Map::new(),
        }
    }

    /// The same entry with one more detail in `meta`.
    #[must_use]
    pub fn with_meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }

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
                .map(|meta| clean_map(meta, ClerkErrors::MAX_META_DEPTH))
                .filter(is_small)
                .unwrap_or_default(),
        }
    }
}

impl fmt::Display for ClerkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = [&self.long_message, &self.message, &self.code];
        match sentence.into_iter().find(|text| !text.is_empty()) {
            Some(text) => f.write_str(text),
            None => f.write_str("no message"),
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
                .take(ClerkErrors::MAX_ERRORS)
                .map(|item| clean(item, depth - 1))
                .collect(),
        ),
        Value::Object(map) => Value::Object(clean_map(map, depth - 1)),
        other => other,
    }
}

/// Whether details are of a size that somebody may read.
fn is_small(meta: &Map<String, Value>) -> bool {
    serde_json::to_vec(meta).is_ok_and(|json| json.len() <= ClerkErrors::MAX_META_BYTES)
}

fn clean_map(map: Map<String, Value>, depth: usize) -> Map<String, Value> {
    map.into_iter()
        .take(ClerkErrors::MAX_ERRORS)
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
        while errors.len() < ClerkErrors::MAX_ERRORS {
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
