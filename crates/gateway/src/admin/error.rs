//! [`Refused`], an error of the admin API, in the JSON of the API's errors.

use axum::response::{IntoResponse, Response};
use clerk_actor_tokens::{ClerkError, ClerkErrors, Error};
use clerk_actor_tokens_policy::audit::SinkUnavailable;
use http::StatusCode;
use utoipa::ToSchema;

use crate::storage::StorageError;

/// The body of an error, as the API has it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it documents the errors of the core")]
pub(super) struct Errors {
    /// The errors. The first one is the reason.
    errors: Vec<ErrorEntry>,
    /// The id of this response.
    clerk_trace_id: String,
}

/// An error.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it documents the errors of the core")]
struct ErrorEntry {
    /// The machine-readable code.
    code: String,
    message: String,
    /// The message for people.
    long_message: String,
    /// Details.
    #[schema(value_type = Option<Object>)]
    meta: (),
}

/// A request that was refused or failed: `{"errors": [{"code": …, "message": …}]}`.
pub(super) struct Refused(Error);

impl Refused {
    pub(super) fn new(status: StatusCode, code: &str, sentence: impl Into<String>) -> Self {
        let entry = ClerkError::new(code, code.replace('_', " "), sentence);
        Self(Error::refused(status, ClerkErrors::new(entry)))
    }

    pub(super) fn not_found(what: &str) -> Self {
        let sentence = format!("This {what} is unknown.");
        Self::new(
            StatusCode::NOT_FOUND,
            ClerkError::RESOURCE_NOT_FOUND,
            sentence,
        )
    }

    /// A request whose body or parameters cannot be used.
    pub(super) fn invalid(status: StatusCode, sentence: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::UNPROCESSABLE_ENTITY => ClerkError::FORM_PARAM_VALUE_INVALID,
            _ => ClerkError::MALFORMED_REQUEST_PARAMETERS,
        };
        Self::new(status, code, sentence)
    }

    pub(super) fn retry_after(self, wait: std::time::Duration) -> Self {
        Self(self.0.with_retry_after(wait))
    }
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        if error.is_cursor() {
            return Self::invalid(StatusCode::BAD_REQUEST, format!("{error}."));
        }
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "could not read the database for the admin API");
        let sentence = "The database cannot be read.";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            sentence,
        )
    }
}

impl From<SinkUnavailable> for Refused {
    /// The change may be in the audit nevertheless, so it can be repeated.
    fn from(error: SinkUnavailable) -> Self {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "could not write the audit for the admin API");
        let sentence = "The audit cannot be written, so nothing changed. Try again.";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "audit_unavailable",
            sentence,
        )
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.to_response().into_response()
    }
}
