//! [`ClerkErrors`], the error body of the API.

mod read;

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

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
