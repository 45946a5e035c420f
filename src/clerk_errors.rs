//! [`ClerkErrors`], the error body of the API.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{lenient, text::presentable};

const MAX_ERRORS: usize = 32;
/// The most entries that are kept of a list or an object in `meta`.
const MAX_ENTRIES: usize = 32;
/// The deepest nesting that is kept of `meta`, itself included.
const MAX_LEVELS: usize = 5;
/// The longest `meta` that is kept, as JSON.
const MAX_META_BYTES: usize = 1024;

/// The error body of the API: `{"errors": [...], "clerk_trace_id": "…"}`.
///
/// The API promises no more than the array. Texts that came over the network are without control
/// characters, have secret keys masked, and are cut after 500 characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkErrors {
    /// The errors. The first one is the reason why the call failed. At most 32 are kept.
    pub errors: Vec<ClerkError>,
    /// The id with which Clerk's support can find the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clerk_trace_id: Option<String>,
}

/// One entry of [`ClerkErrors`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkError {
    /// The machine-readable code, like `form_param_missing`. Empty when the response had none.
    pub code: String,
    /// A few words. Empty when the response had none.
    pub message: String,
    /// A sentence for people. Empty when the response had none.
    pub long_message: String,
    /// Details, like `param_name` or `limit` and `used`. Lists and objects have at most 32 entries and
    /// 4 levels. Empty when the details have more than 1 KiB or are not valid JSON.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

impl ClerkErrors {
    /// Creates an error body with one entry, for services that respond like the API.
    #[must_use]
    pub fn new(error: ClerkError) -> Self {
        Self {
            errors: vec![error],
            clerk_trace_id: None,
        }
    }

    /// The code of the first error that has one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.errors
            .iter()
            .map(|error| error.code.as_str())
            .find(|code| !code.is_empty())
    }

    /// Reads an error body. Returns `None` unless it is a JSON object with an array `errors` or with a
    /// trace id. Of a member that occurs twice, the last one counts.
    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        let body = String::from_utf8_lossy(body);
        let (mut errors, mut trace_id) = (None, None);
        lenient::members(&body, |name, value| match name {
            "errors" => errors = lenient::value::<Vec<&RawValue>>(value),
            "clerk_trace_id" => trace_id = lenient::text(value).map(presentable),
            _ => {}
        })
        .ok()?;
        let trace_id = trace_id.filter(|id| !id.trim().is_empty());
        if errors.is_none() && trace_id.is_none() {
            return None;
        }
        let errors = errors.into_iter().flatten().take(MAX_ERRORS);
        Some(Self {
            errors: errors.map(ClerkError::read).collect(),
            clerk_trace_id: trace_id,
        })
    }
}

impl ClerkError {
    /// Creates an entry with a code, a few words and a sentence.
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

    /// Adds a detail to `meta`.
    #[must_use]
    pub fn with_meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }

    /// Reads an entry. It is empty if it is not an object.
    fn read(entry: &RawValue) -> Self {
        let mut error = Self::default();
        let _ = lenient::members(entry.get(), |name, value| {
            let text = || lenient::text(value).map(presentable).unwrap_or_default();
            match name {
                "code" => error.code = text(),
                "message" => error.message = text(),
                "long_message" => error.long_message = text(),
                "meta" => error.meta = meta(value),
                _ => {}
            }
        });
        error
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

/// Returns the details, or none if they are too long or not an object.
fn meta(value: &RawValue) -> Map<String, Value> {
    match lenient::value(value).map(|meta| cleaned(meta, MAX_LEVELS)) {
        Some(meta) if meta.to_string().len() > MAX_META_BYTES => Map::new(),
        Some(Value::Object(meta)) => meta,
        _ => Map::new(),
    }
}

/// Makes every text presentable and applies the limits. What is nested too deeply becomes null.
fn cleaned(value: Value, levels: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => Value::Null,
        Value::String(text) => presentable(text).into(),
        Value::Array(items) => {
            let clean = |item| cleaned(item, levels - 1);
            items.into_iter().take(MAX_ENTRIES).map(clean).collect()
        }
        Value::Object(map) => {
            let clean = |(name, value)| (presentable(name), cleaned(value, levels - 1));
            map.into_iter().take(MAX_ENTRIES).map(clean).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}
