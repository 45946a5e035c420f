//! [`ClerkErrors`], the error body of the API, read leniently.

mod details;
mod odd;
mod read;
#[cfg(test)]
mod slow;

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// The error body of the API: `{"errors": [...], "clerk_trace_id": "…"}`.
///
/// Only the array can be relied on. Text has been stripped of control characters, whatever looks like
/// a secret key is masked, and of a text of more than 500 characters these are left, and an `…`.
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
    /// Details, like `param_name` or `limit` and `used`; empty when they exceed 1 KiB, or hold what no
    /// JSON reader takes. `Debug` and `Serialize` show them as they came, apart from the cleaning that
    /// every text undergoes.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

impl ClerkErrors {
    /// An error body with one entry, for services that answer like the API.
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
