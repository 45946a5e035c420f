//! [`Refusal`], the answer to a request that does not reach the service.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::ALLOW};
use http_body_util::Full;

use super::answer;
use crate::{ClerkError, ClerkErrors, text::presentable};

/// Why a request was refused before the service was called, in the API's terms.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: ClerkError,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: &str, long_message: &str) -> Self {
        Self {
            status,
            error: ClerkError::new(code, message, long_message),
        }
    }

    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "resource_not_found",
            "not found",
            "No resource was found at this path.",
        )
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "method not allowed",
            "Only POST is allowed at this path.",
        )
    }

    pub(super) fn no_bearer() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "authorization_header_format_invalid",
            "Invalid Authorization header format",
            "Invalid Authorization header format. Must be \"Bearer <YOUR_API_KEY>\".",
        )
    }

    pub(super) fn wrong_key() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "clerk_key_invalid",
            "The provided Clerk Secret Key is invalid",
            "The provided Clerk Secret Key is invalid. Make sure that it is the one of this API.",
        )
    }

    pub(super) fn two_versions() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "api_version_invalid",
            "several API versions",
            "The API version can be given once: in a header or in the query.",
        )
    }

    pub(super) fn unknown_version() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "api_version_invalid",
            "unknown API version",
            "The API version is none that is documented.",
        )
    }

    pub(super) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_type",
            "unsupported content type",
            "The content type must be application/json.",
        )
    }

    pub(super) fn too_long() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_body_invalid",
            "request body too long",
            "The request body is longer than 64 KiB.",
        )
    }

    pub(super) fn broken_off() -> Self {
        Self::unreadable("The request body breaks off.")
    }

    pub(super) fn unreadable(long_message: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "request_body_invalid",
            "request body invalid",
            long_message,
        )
    }

    /// A field that is not part of the operation. Its name comes from the network.
    pub(super) fn unknown_field(name: &str) -> Self {
        let name = presentable(name);
        let sentence = format!("{name} is not a parameter of this request.");
        Self::of_field("form_param_unknown", "is unknown", &sentence, &name)
    }

    pub(super) fn missing_field(name: &str) -> Self {
        let sentence = format!("{name} must be included.");
        Self::of_field("form_param_missing", "is missing", &sentence, name)
    }

    pub(super) fn invalid_field(name: &str, sentence: &str) -> Self {
        Self::of_field("form_param_value_invalid", "is invalid", sentence, name)
    }

    fn of_field(code: &str, message: &str, sentence: &str, name: &str) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            error: ClerkError::new(code, message, sentence).with_meta("param_name", name),
        }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.error.code
    }

    /// The refusal as an error of a service that stands in for the API.
    #[cfg(feature = "sandbox")]
    pub(crate) fn into_error(self) -> crate::Error {
        crate::Error::api(self.status, ClerkErrors::new(self.error))
    }

    /// The refusal on the wire.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = answer::errors(self.status, ClerkErrors::new(self.error), None);
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = HeaderValue::from_static("POST");
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }
}
