//! Reads the error body of the API: whatever cannot be read is absent.

use serde_json::{Map, Value, value::RawValue};

use super::{ClerkError, ClerkErrors};
use crate::{lenient, text::presentable};

const MAX_ERRORS: usize = 32;

/// The most entries that are kept of a list or an object in `meta`.
const MAX_ENTRIES: usize = 32;
/// The deepest nesting that is kept of `meta`, itself included.
const MAX_LEVELS: usize = 5;
/// The longest `meta` that is kept, as JSON.
const MAX_META_BYTES: usize = 1024;

impl ClerkErrors {
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

/// Returns the details, or none if they are too long or not an object.
fn meta(value: &RawValue) -> Map<String, Value> {
    let meta = lenient::value(value).map(|meta| cleaned(meta, MAX_LEVELS));
    match meta {
        Some(Value::Object(meta)) if is_small(&meta) => meta,
        _ => Map::new(),
    }
}

fn is_small(meta: &Map<String, Value>) -> bool {
    serde_json::to_vec(meta).is_ok_and(|json| json.len() <= MAX_META_BYTES)
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
