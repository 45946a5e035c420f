//! What the service failed with, as an answer that lets a client draw the right conclusion.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::answer;
use crate::{
    BoxError, ClerkError, ClerkErrors, Error, ErrorKind, Outcome, layer::timeout::TimedOut,
};

/// The answer to a failure.
pub(super) fn answer(error: &BoxError) -> Response<Full<Bytes>> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return of_error(error);
    }
    if error.is::<TimedOut>() {
        return answer::errors(
            StatusCode::GATEWAY_TIMEOUT,
            ClerkErrors::new(timeout()),
            None,
        );
    }
    // What a layer of somebody else's says may not be for the eyes of whoever asked.
    let error = ClerkError::new(
        "internal_clerk_error",
        "internal error",
        "There was an internal error. It may have taken effect.",
    );
    answer::errors(
        StatusCode::INTERNAL_SERVER_ERROR,
        ClerkErrors::new(error),
        None,
    )
}

fn of_error(error: &Error) -> Response<Full<Bytes>> {
    let (status, mut errors) = match error.status() {
        Some(status) if may_be_passed_on(status, error.outcome()) => {
            (status, error.clerk_errors().cloned().unwrap_or_default())
        }
        _ => {
            let (status, entry) = translated(error);
            (status, ClerkErrors::new(entry))
        }
    };
    errors.clerk_trace_id = error.trace_id().map(str::to_owned);
    answer::errors(status, errors, error.retry_after())
}

/// A 4xx says that nothing happened. Where that is not certain, for instance because an earlier
/// attempt was lost, it must not be said.
fn may_be_passed_on(status: StatusCode, outcome: Outcome) -> bool {
    status.is_server_error() || (status.is_client_error() && outcome.is_without_effect())
}

/// The answer to a failure that no answer of the API stands for.
fn translated(error: &Error) -> (StatusCode, ClerkError) {
    let without_effect = error.outcome().is_without_effect();
    match error.kind() {
        ErrorKind::InvalidRequest if without_effect => (
            StatusCode::UNPROCESSABLE_ENTITY,
            ClerkError::new("form_param_value_invalid", "is invalid", error.to_string()),
        ),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, timeout()),
        _ if error.outcome() == Outcome::NotSent => (
            StatusCode::SERVICE_UNAVAILABLE,
            ClerkError::new(
                "service_unavailable",
                "service unavailable",
                "The service cannot be reached at the moment. Nothing has changed.",
            ),
        ),
        _ => {
            let entry = ClerkError::new(
                "bad_gateway",
                "bad gateway",
                match error.outcome() {
                    Outcome::Applied => "It has taken effect, but the answer cannot be used.",
                    _ if without_effect => "The service refused. Nothing has changed.",
                    _ => "The service gave no answer that can be used. It may have taken effect.",
                },
            );
            // Without its id nobody could ever revoke a token that was minted all the same.
            let entry = match error.actor_token_id() {
                Some(id) => entry.with_meta("actor_token_id", id.as_str()),
                None => entry,
            };
            (StatusCode::BAD_GATEWAY, entry)
        }
    }
}

fn timeout() -> ClerkError {
    ClerkError::new(
        "gateway_timeout",
        "gateway timeout",
        "The service took too long. It may have taken effect.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ErrorKind; 11] = [
        ErrorKind::Key,
        ErrorKind::InvalidRequest,
        ErrorKind::Connect,
        ErrorKind::Timeout,
        ErrorKind::Transport,
        ErrorKind::Api,
        ErrorKind::AlreadyAccepted,
        ErrorKind::AlreadyRevoked,
        ErrorKind::UnexpectedStatus,
        ErrorKind::UnreadableAnswer,
        ErrorKind::Foreign,
    ];

    fn status_of(error: Error) -> u16 {
        answer(&error.into()).status().as_u16()
    }

    #[test]
    fn what_may_have_happened_is_never_answered_with_4xx() {
        for kind in KINDS {
            for outcome in [Outcome::Unknown, Outcome::Applied] {
                for status in [None, Some(200), Some(302), Some(400), Some(429), Some(503)] {
                    let error = Error::new(kind, outcome);
                    let status = status.map(|code| StatusCode::from_u16(code).unwrap());
                    let error = match status {
                        Some(status) => error.with_status(status),
                        None => error,
                    };
                    let answered = status_of(error);
                    assert!(
                        answered >= 500,
                        "{kind:?} {outcome:?} {status:?}: {answered}"
                    );
                }
            }
        }
    }

    #[test]
    fn failures_without_an_answer_are_translated() {
        for (kind, outcome, status) in [
            (ErrorKind::InvalidRequest, Outcome::NotSent, 422),
            (ErrorKind::Timeout, Outcome::NotSent, 504),
            (ErrorKind::Timeout, Outcome::Unknown, 504),
            (ErrorKind::Connect, Outcome::NotSent, 503),
            (ErrorKind::Foreign, Outcome::NotSent, 503),
            (ErrorKind::Foreign, Outcome::Unknown, 502),
            (ErrorKind::Transport, Outcome::Unknown, 502),
            (ErrorKind::UnreadableAnswer, Outcome::Applied, 502),
        ] {
            let answered = status_of(Error::new(kind, outcome));
            assert_eq!(answered, status, "{kind:?} {outcome:?}");
        }
    }
}
