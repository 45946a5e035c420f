//! Decodes a response that is an error, and judges the response to a revoke.

use http::{Response, StatusCode};

use crate::{
    ActorToken, ActorTokenId, ActorTokenStatus, ClerkErrors, Error, ErrorKind, Outcome, Payload,
    TokenResponse, call::Attempt, layer::bearer_auth::StaleKey, response_head::ResponseHead,
};

/// Returns the error of a response other than 200, with status and trace id even if its body is unreadable.
pub(super) fn decode(response: Response<TokenResponse>, attempt: &Attempt) -> Error {
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
        .with_outcome(attempt.outcome_of(head.status))
        .with_retry_after(head.retry_after)
        .with_stale_key(is_stale)
}

/// Reads the token in the 200 to a revoke. Fails unless its status is `revoked` or absent.
pub(crate) fn revoked(id: Option<&ActorTokenId>, body: &[u8]) -> Result<ActorToken, Error> {
    let unusable = |why: &str| Error::unreadable(why, Outcome::Unknown);
    let token = ActorToken::read(body, id, &mut None).map_err(|it| unusable(&it.to_string()))?;
    if id.is_some_and(|id| token.id != *id) {
        return Err(unusable("the response is about another token"));
    }
    let kind = match &token.status {
        ActorTokenStatus::Revoked => return Ok(token),
        ActorTokenStatus::Other(word) if word.is_empty() => return Ok(token),
        ActorTokenStatus::Accepted => ErrorKind::AlreadyAccepted,
        _ => ErrorKind::NotRevoked,
    };
    Err(Error::new(kind, Outcome::Rejected)
        .with_status(StatusCode::OK)
        .with_detail(format!("its status is {}", token.status.as_str()))
        .with_actor_token_id(token.id))
}

/// Completes the error of an attempt that failed after the head of its response. The status decides; for a
/// 200, the received part of the body decides.
pub(super) fn complete(error: Error, attempt: &Attempt, payload: &Payload) -> Error {
    match attempt.failed_head() {
        Some(_) if error.status().is_some() => error,
        Some(head) => error
            .with_status(head.status)
            .with_outcome(attempt.outcome_of(head.status))
            .with_retry_after(head.retry_after)
            .with_trace_id(head.trace_id),
        None if error.actor_token_id().is_some() || error.outcome() == Outcome::NotSent => error,
        None => with_effect(error, payload, &attempt.received()),
    }
}

/// Sets the outcome of an unusable 200 to [`Outcome::Applied`] if the response shows the effect.
pub(super) fn with_effect(error: Error, payload: &Payload, response: &[u8]) -> Error {
    let found = ActorToken::salvage(response);
    match found.filter(|found| found.shows_effect_of(payload)) {
        Some(found) => error
            .with_status(StatusCode::OK)
            .with_outcome(Outcome::Applied)
            .with_actor_token_id(found.id),
        None => error,
    }
}
