//! A response other than 200, as an [`Error`].

use http::{Response, StatusCode};

use crate::{
    ActorToken, ClerkErrors, Error, ErrorKind, Outcome, TokenResponse, call::Attempt,
    layer::bearer_auth::StaleKey, response_head::ResponseHead,
};

/// Returns the error that a response stands for. Status and trace id are kept whatever the body is.
pub(super) fn decode(response: Response<TokenResponse>) -> Error {
    let (parts, body) = response.into_parts();
    let head = ResponseHead::from(&parts);
    let error = if head.status.is_client_error() || head.status.is_server_error() {
        let errors = ClerkErrors::from_json(body.expose_bytes());
        Error::api(head.status, errors.unwrap_or_default())
    } else {
        Error::new(ErrorKind::UnexpectedStatus, Outcome::Unknown).with_status(head.status)
    };
    let error = match error.trace_id() {
        Some(_) => error,
        None => error.with_trace_id(head.trace_id),
    };
    let is_stale = parts.extensions.get::<StaleKey>().is_some();
    error
        .with_retry_after(head.retry_after)
        .with_stale_key(is_stale)
}

/// Returns what a status other than 200 says about the operation.
pub(crate) fn outcome(status: StatusCode) -> Outcome {
    if status.is_client_error() {
        Outcome::Rejected
    } else {
        Outcome::Unknown
    }
}

/// Completes the error of an attempt that failed after the head of its response. The status is known
/// and decides; for a 200, the part of the body that was received decides.
pub(super) fn complete(error: Error, attempt: &Attempt) -> Error {
    let Some(head) = attempt.head() else {
        return error;
    };
    if head.status != StatusCode::OK {
        if error.status().is_some() {
            return error;
        }
        return error
            .with_status(head.status)
            .with_outcome(outcome(head.status))
            .with_retry_after(head.retry_after)
            .with_trace_id(head.trace_id);
    }
    if error.actor_token_id().is_some() {
        return error;
    }
    match ActorToken::salvage_id(&attempt.received()) {
        Some(id) => error
            .with_status(head.status)
            .with_outcome(Outcome::Applied)
            .with_actor_token_id(Some(id)),
        None => error,
    }
}
