//! Responses on the wire: a token, or the errors of a failed request.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};

use super::ResponseBody;
use crate::{
    ActorToken, ActorTokenStatus, BoxError, ClerkError, ClerkErrors, Error, ErrorKind, Outcome,
    layer::timeout::TimedOut,
};

impl Error {
    /// Returns the response that [`ActorTokensApi`](super::ActorTokensApi) gives for this error, from
    /// which a client draws the same conclusions: status, JSON body, `retry-after` and trace id. Without a
    /// trace id, each response gets a new one.
    ///
    /// A failure that may have taken effect never becomes a 4xx, see the [module](super).
    ///
    /// ```
    /// use clerk_actor_tokens::{ClerkError, ClerkErrors, Error};
    /// use http::StatusCode;
    ///
    /// let entry = ClerkError::new("operator_missing", "no operator", "Set the header x-operator.");
    /// let error = Error::refused(StatusCode::FORBIDDEN, ClerkErrors::new(entry));
    /// let response = error.to_response();
    /// assert_eq!(response.status(), StatusCode::FORBIDDEN);
    /// assert_eq!(response.headers()["content-type"], "application/json");
    /// ```
    pub fn to_response(&self) -> Response<ResponseBody> {
        let (status, mut body) = match self.status() {
            Some(status) if may_be_forwarded(status, self) => {
                (status, self.clerk_errors().cloned().unwrap_or_default())
            }
            _ => translated(self),
        };
        if body.errors.is_empty() {
            body.errors.push(bad_gateway(self.outcome()));
        }
        // With the id, the caller can revoke a token that was minted although the call failed. The id of
        // another user's token is not shown, because the caller would revoke that token.
        let id = self.actor_token_id();
        if let Some(id) = id.filter(|_| !self.details.foreign_token) {
            let meta = &mut body.errors[0].meta;
            meta.insert("actor_token_id".into(), id.as_str().into());
        }
        body.clerk_trace_id = self.trace_id().map(str::to_owned);
        errors(status, body, self.retry_after())
    }
}

/// Returns the error of the API for a refused request.
pub(crate) fn refusal(status: StatusCode, entry: ClerkError) -> Error {
    Error::api(status, ClerkErrors::new(entry))
}

/// Returns a JSON response. It must not be cached, because it may hold a credential.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let json = body.into();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_LENGTH, HeaderValue::from(json.len())),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = Response::new(ResponseBody { json, guard: None });
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

/// Returns an error body. It gets a new trace id unless it has one.
pub(crate) fn errors(
    status: StatusCode,
    mut errors: ClerkErrors,
    retry_after: Option<Duration>,
) -> Response<ResponseBody> {
    let new_trace_id = || format!("{:032x}", fastrand::u128(..));
    let trace_id = errors.clerk_trace_id.get_or_insert_with(new_trace_id);
    let trace_id = HeaderValue::try_from(trace_id.as_str());
    // Text, numbers and maps with text keys always encode.
    let mut response = json(status, serde_json::to_vec(&errors).unwrap_or_default());
    let headers = response.headers_mut();
    if let Ok(trace_id) = trace_id {
        headers.insert("clerk-trace-id", trace_id);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if let Some(wait) = retry_after {
        // Rounded up, so that no client sends the next request too early.
        let seconds = wait.as_secs_f64().ceil() as u64;
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Returns the response to a request that reached the service, or was refused before.
pub(super) fn of_result(result: Result<ActorToken, BoxError>) -> Response<ResponseBody> {
    match result {
        Ok(mut token) => {
            // The body claims the token, so the guard must not see the ticket read here.
            let guard = token.take_guard();
            let mut response = json(StatusCode::OK, token.expose_json());
            response.body_mut().guard = guard;
            response
        }
        Err(error) => match error.downcast_ref::<Error>() {
            Some(error) => error.to_response(),
            // Only a client knows the outcome.
            None if error.is::<TimedOut>() => {
                Error::new(ErrorKind::Timeout, Outcome::Unknown).to_response()
            }
            // The text of a foreign error may not be meant for the caller.
            None => {
                let sentence = "There was an internal error. It may have taken effect.";
                let code = ClerkError::INTERNAL_CLERK_ERROR;
                let entry = ClerkError::new(code, "internal error", sentence);
                refusal(StatusCode::INTERNAL_SERVER_ERROR, entry).to_response()
            }
        },
    }
}

/// Returns whether the caller may see this status. A 4xx says that nothing changed, so it is hidden if
/// that is not certain, such as after a lost attempt. A 4xx of the API is also hidden if it is about the
/// client's key or connection, because the caller has its own.
fn may_be_forwarded(status: StatusCode, error: &Error) -> bool {
    let is_about_the_client = error.attempts() > 0
        && error.kind() != ErrorKind::Refused
        && (matches!(status.as_u16(), 401 | 407 | 421 | 425) || is_timeout_of_a_proxy(status));
    let is_refusal = status.is_client_error() && error.outcome().is_without_effect();
    status.is_server_error() || is_refusal && !is_about_the_client
}

/// Returns whether a proxy responds with this status when its client or its server is too slow.
fn is_timeout_of_a_proxy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 460 | 499)
}

/// Returns the status and body for a failure whose own status cannot be forwarded.
fn translated(error: &Error) -> (StatusCode, ClerkErrors) {
    let outcome = error.outcome();
    let is_timeout = error.is_timeout() || error.status().is_some_and(is_timeout_of_a_proxy);
    let (status, entry) = match error.kind() {
        ErrorKind::InvalidRequest if outcome.is_without_effect() => {
            let (code, sentence) = (ClerkError::FORM_PARAM_VALUE_INVALID, error.to_string());
            let entry = ClerkError::new(code, "is invalid", sentence);
            (StatusCode::UNPROCESSABLE_ENTITY, entry)
        }
        // The API may also say so in a 200, which a client would take for success.
        ErrorKind::AlreadyAccepted if outcome.is_without_effect() => (
            StatusCode::BAD_REQUEST,
            ClerkError::cannot_be_revoked(&ActorTokenStatus::Accepted),
        ),
        _ if is_timeout => {
            let sentence = "The service took too long.";
            let entry = entry(ClerkError::GATEWAY_TIMEOUT, sentence, outcome);
            (StatusCode::GATEWAY_TIMEOUT, entry)
        }
        _ if outcome == Outcome::NotSent => {
            let sentence = "The service cannot be reached at the moment.";
            let entry = entry(ClerkError::SERVICE_UNAVAILABLE, sentence, outcome);
            (StatusCode::SERVICE_UNAVAILABLE, entry)
        }
        _ => (StatusCode::BAD_GATEWAY, bad_gateway(outcome)),
    };
    (status, ClerkErrors::new(entry))
}

fn bad_gateway(outcome: Outcome) -> ClerkError {
    let sentence = match outcome {
        Outcome::NotSent | Outcome::Rejected => "The service refused.",
        Outcome::Unknown | Outcome::Applied => "The response of the service is unusable.",
    };
    entry("bad_gateway", sentence, outcome)
}

/// Returns an entry that says what failed, and whether the operation may have taken effect.
fn entry(code: &str, sentence: &str, outcome: Outcome) -> ClerkError {
    let effect = match outcome {
        Outcome::NotSent | Outcome::Rejected => "Nothing has changed.",
        Outcome::Unknown => "It may have taken effect.",
        Outcome::Applied => "It has taken effect.",
    };
    ClerkError::new(code, code.replace('_', " "), format!("{sentence} {effect}"))
}
