//! [`ClerkErrors`], the error body of the API, and its error codes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value, value::RawValue};

use crate::{lenient, text::presentable};

const MAX_ERRORS: usize = 32;
/// The most entries of a list or an object in `meta` that are kept.
const MAX_ENTRIES: usize = 32;
/// The deepest nesting of `meta` that is kept, itself included.
const MAX_LEVELS: usize = 5;
/// The longest `meta` that is kept, as JSON.
const MAX_META_BYTES: usize = 1024;

/// The error body of the API: `{"errors": [...], "clerk_trace_id": "…"}`.
///
/// The API guarantees only the array. In text that was received or deserialized, control characters are
/// removed, secret keys are masked, and the rest after 500 characters is cut off.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkErrors {
    /// The errors, at most 32. The first one is the reason why the call failed.
    pub errors: Vec<ClerkError>,
    /// The id with which Clerk's support can find the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clerk_trace_id: Option<String>,
}

/// One entry of [`ClerkErrors`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkError {
    /// The machine-readable code, such as [`Self::FORM_PARAM_MISSING`]. Empty when the response had none.
    pub code: String,
    /// The short message. Empty when the response had none.
    pub message: String,
    /// The message for users. Empty when the response had none.
    pub long_message: String,
    /// Details, such as `param_name`, or `limit` and `used`. Lists and objects have at most 32 entries
    /// and 4 levels. Empty when the details have more than 1 KiB or are not valid JSON.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

impl ClerkErrors {
    /// Creates an error body with one entry.
    pub fn new(error: ClerkError) -> Self {
        Self {
            errors: vec![error],
            clerk_trace_id: None,
        }
    }

    /// Returns the code of the first error that has one.
    pub fn code(&self) -> Option<&str> {
        self.errors
            .iter()
            .map(|error| error.code.as_str())
            .find(|code| !code.is_empty())
    }

    /// Reads an error body. Returns `None` unless it is a JSON object with an array `errors` or a trace id.
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

impl<'de> Deserialize<'de> for ClerkErrors {
    /// Reads the body as leniently as a call does, and cleans its text.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let json = Value::deserialize(from)?.to_string();
        let errors = Self::from_json(json.as_bytes());
        errors.ok_or_else(|| D::Error::custom("expected an object with an array \"errors\""))
    }
}

/// The codes that Clerk's documentation, OpenAPI files and SDKs name for these operations, to compare with
/// [`Error::code`](crate::Error::code). The API may use others.
///
/// ```
/// use clerk_actor_tokens::{ClerkError, Error};
///
/// fn advice(error: &Error) -> &'static str {
///     match error.code() {
///         Some(ClerkError::RESOURCE_NOT_FOUND) => "check the id of the user",
///         Some(ClerkError::IMPERSONATION_LIMIT_EXCEEDED) => "upgrade the plan",
///         _ => "ask the support",
///     }
/// }
/// ```
impl ClerkError {
    /// 400: a revoke of a token that is not pending, see [`ErrorKind::AlreadyAccepted`] and
    /// [`ErrorKind::AlreadyRevoked`].
    ///
    /// [`ErrorKind::AlreadyAccepted`]: crate::ErrorKind::AlreadyAccepted
    /// [`ErrorKind::AlreadyRevoked`]: crate::ErrorKind::AlreadyRevoked
    pub const ACTOR_TOKEN_CANNOT_BE_REVOKED: &str = "actor_token_cannot_be_revoked_code";
    /// 400: the API has no such version.
    pub const API_VERSION_INVALID: &str = "api_version_invalid";
    /// 401: the request is not authenticated.
    pub const AUTHENTICATION_INVALID: &str = "authentication_invalid";
    /// 401: the header `Authorization` is missing, or is not `Bearer` and a key.
    pub const AUTHORIZATION_HEADER_FORMAT_INVALID: &str = "authorization_header_format_invalid";
    /// 403: the key is not allowed to do this.
    pub const AUTHORIZATION_INVALID: &str = "authorization_invalid";
    /// 401: the secret key is wrong, or was deleted.
    pub const CLERK_KEY_INVALID: &str = "clerk_key_invalid";
    /// 422: a field is missing; `meta.param_name` names it.
    pub const FORM_PARAM_MISSING: &str = "form_param_missing";
    /// 422: the API does not know a field; `meta.param_name` names it.
    pub const FORM_PARAM_UNKNOWN: &str = "form_param_unknown";
    /// 422: the value of a field is invalid; `meta.param_name` names it.
    pub const FORM_PARAM_VALUE_INVALID: &str = "form_param_value_invalid";
    /// 504: a server behind the API did not respond in time. The operation may have taken effect.
    pub const GATEWAY_TIMEOUT: &str = "gateway_timeout";
    /// 422: the plan's quota of impersonations is used up; `meta.limit` and `meta.used` have the numbers.
    pub const IMPERSONATION_LIMIT_EXCEEDED: &str = "impersonation_limit_exceeded";
    /// 500: the API failed. The operation may have taken effect.
    pub const INTERNAL_CLERK_ERROR: &str = "internal_clerk_error";
    /// 400: the parameters of the request cannot be read.
    pub const MALFORMED_REQUEST_PARAMETERS: &str = "malformed_request_parameters";
    /// 400: the body of the request is not valid JSON.
    pub const REQUEST_BODY_INVALID: &str = "request_body_invalid";
    /// 404: no such user on a create, no such token on a revoke.
    pub const RESOURCE_NOT_FOUND: &str = "resource_not_found";
    /// 503: the API is not available. The operation may have taken effect.
    pub const SERVICE_UNAVAILABLE: &str = "service_unavailable";
    /// 429: the rate limit is exceeded: in 10 seconds 1000 requests of a production instance, or 100 of a
    /// development instance.
    pub const TOO_MANY_REQUESTS: &str = "too_many_requests";
    /// 402: the plan does not include impersonation; `meta.unsupported_features` names the feature.
    pub const UNSUPPORTED_PLAN_FEATURES: &str = "unsupported_subscription_plan_features";
}

impl ClerkError {
    /// Creates an entry.
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

    /// Returns the entry for a revoke of a token with this status.
    #[cfg(feature = "server")]
    pub(crate) fn cannot_be_revoked(status: &crate::ActorTokenStatus) -> Self {
        let sentence = format!(
            "Actor token cannot be revoked because its status is {status}. Only pending tokens can be revoked."
        );
        let code = Self::ACTOR_TOKEN_CANNOT_BE_REVOKED;
        Self::new(code, "cannot be revoked", sentence)
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

/// Makes every text presentable and applies the limits. A value that is nested too deeply becomes null.
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
