//! What the service failed with, as an answer that lets a client draw the right conclusion.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::answer;
use crate::{
    ActorTokenId, BoxError, ClerkError, ClerkErrors, Error, ErrorKind, Outcome,
    layer::timeout::TimedOut,
};

/// The answer to a failure.
pub(super) fn answer(error: &BoxError) -> Response<Full<Bytes>> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return of_error(error);
    }
    if error.is::<TimedOut>() {
        // What became of the operation by then only a whole client would know.
        let errors = ClerkErrors::new(timeout(Outcome::Unknown));
        return answer::errors(StatusCode::GATEWAY_TIMEOUT, errors, None);
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
        Some(status) if may_be_passed_on(status, error) => {
            (status, error.clerk_errors().cloned().unwrap_or_default())
        }
        _ => {
            let (status, entry) = translated(error);
            (status, ClerkErrors::new(entry))
        }
    };
    if errors.errors.is_empty() {
        errors.errors.push(bad_gateway(error.outcome()));
    }
    // Without its id nobody could ever revoke a token that was minted all the same. Whoever is told that of
    // somebody else's would revoke what is not theirs.
    if let Some(id) = error
        .actor_token_id()
        .filter(|_| !error.has_foreign_token())
    {
        name(&mut errors, id);
    }
    errors.clerk_trace_id = error.trace_id().map(str::to_owned);
    answer::errors(status, errors, error.retry_after())
}

/// Says in the first entry which token is concerned.
fn name(errors: &mut ClerkErrors, id: &ActorTokenId) {
    if let Some(first) = errors.errors.first_mut() {
        *first = std::mem::take(first).with_meta("actor_token_id", id.as_str());
    }
}

/// A 4xx says that nothing happened. Where that is not certain, for instance because an earlier
/// attempt was lost, it must not be said. Nor is it the key of whoever asks that the API refused.
fn may_be_passed_on(status: StatusCode, error: &Error) -> bool {
    let of_our_key = status == StatusCode::UNAUTHORIZED && error.attempts() > 0;
    let is_refusal = status.is_client_error() && error.outcome().is_without_effect();
    status.is_server_error() || is_refusal && !of_our_key
}

/// The answer to a failure that no answer of the API stands for.
fn translated(error: &Error) -> (StatusCode, ClerkError) {
    let outcome = error.outcome();
    match error.kind() {
        ErrorKind::InvalidRequest if outcome.is_without_effect() => (
            StatusCode::UNPROCESSABLE_ENTITY,
            ClerkError::new("form_param_value_invalid", "is invalid", error.to_string()),
        ),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, timeout(outcome)),
        _ if outcome == Outcome::NotSent => (
            StatusCode::SERVICE_UNAVAILABLE,
            entry(
                "service_unavailable",
                "service unavailable",
                "The service cannot be reached at the moment.",
                outcome,
            ),
        ),
        _ => (StatusCode::BAD_GATEWAY, bad_gateway(outcome)),
    }
}

fn timeout(outcome: Outcome) -> ClerkError {
    let sentence = "The service took too long.";
    entry("gateway_timeout", "gateway timeout", sentence, outcome)
}

fn bad_gateway(outcome: Outcome) -> ClerkError {
    let sentence = match outcome {
        Outcome::NotSent | Outcome::Rejected => "The service refused.",
        Outcome::Unknown | Outcome::Applied => "The service gave no answer that can be used.",
    };
    entry("bad_gateway", "bad gateway", sentence, outcome)
}

/// An entry that says what went wrong, and whether it may have happened all the same.
fn entry(code: &str, message: &str, sentence: &str, outcome: Outcome) -> ClerkError {
    let effect = match outcome {
        Outcome::NotSent | Outcome::Rejected => "Nothing has changed.",
        Outcome::Unknown => "It may have taken effect.",
        Outcome::Applied => "It has taken effect.",
    };
    ClerkError::new(code, message, format!("{sentence} {effect}"))
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

    fn first_entry(error: Error) -> serde_json::Value {
        let body = answer(&error.into()).into_body().into_inner().unwrap();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["errors"][0].take()
    }

    #[test]
    fn a_failure_says_what_became_of_the_operation() {
        for kind in KINDS {
            for (outcome, sentence) in [
                (Outcome::NotSent, "Nothing has changed."),
                (Outcome::Rejected, "Nothing has changed."),
                (Outcome::Unknown, "It may have taken effect."),
                (Outcome::Applied, "It has taken effect."),
            ] {
                if kind == ErrorKind::InvalidRequest && outcome.is_without_effect() {
                    continue;
                }
                let entry = first_entry(Error::new(kind, outcome));
                let told = entry["long_message"].as_str().unwrap();
                assert!(told.ends_with(sentence), "{kind:?} {outcome:?}: {told}");
            }
        }
    }

    #[test]
    fn what_was_minted_is_named_whatever_the_answer() {
        let id: ActorTokenId = "act_1".parse().unwrap();
        let of = |kind| Error::new(kind, Outcome::Applied);
        let unavailable = |errors| Error::api(StatusCode::SERVICE_UNAVAILABLE, errors);
        let passed_on = ClerkErrors::new(ClerkError::new("down", "down", "It is down."));
        for error in [
            of(ErrorKind::Timeout),
            of(ErrorKind::Transport),
            unavailable(ClerkErrors::default()),
            unavailable(passed_on),
        ] {
            let shown = error.to_string();
            let entry = first_entry(error.with_actor_token_id(Some(id.clone())));
            assert_eq!(entry["meta"]["actor_token_id"], "act_1", "{shown}");
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
