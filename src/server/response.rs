//! Responses on the wire: a token, or the errors of a failed request.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;

use crate::{
    ActorToken, BoxError, ClerkError, ClerkErrors, Error, ErrorKind, Outcome,
    layer::timeout::TimedOut,
};

const TRACE_ID: HeaderName = HeaderName::from_static("clerk-trace-id");

/// Returns the error for a request that is refused, in the API's terms.
pub(crate) fn refusal(status: StatusCode, entry: ClerkError) -> Error {
    Error::api(status, ClerkErrors::new(entry))
}

/// Returns a response of this content type.
pub(crate) fn content(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let body = body.into();
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length);
    response
}

/// Returns a JSON response. It must not be cached, because it may contain a credential.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = content(status, "application/json", body);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Returns an error body. It gets a new trace id unless it has one.
pub(crate) fn errors(
    status: StatusCode,
    mut errors: ClerkErrors,
    retry_after: Option<Duration>,
) -> Response<Full<Bytes>> {
    let new_trace_id = || format!("{:032x}", fastrand::u128(..));
    let trace_id = errors.clerk_trace_id.get_or_insert_with(new_trace_id);
    let trace_id = HeaderValue::try_from(trace_id.as_str());
    // Text, numbers and maps with text keys always encode.
    let mut response = json(status, serde_json::to_vec(&errors).unwrap_or_default());
    let headers = response.headers_mut();
    if let Ok(trace_id) = trace_id {
        headers.insert(TRACE_ID, trace_id);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if let Some(wait) = retry_after {
        // Rounded up, so that no client comes back too early.
        let part = u64::from(wait.subsec_nanos() > 0);
        let seconds = wait.as_secs().saturating_add(part);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Returns the response to a request that reached the service, or was refused before.
pub(super) fn of_result(result: Result<ActorToken, BoxError>) -> Response<Full<Bytes>> {
    let error = match result {
        Ok(token) => return json(StatusCode::OK, token.expose_json()),
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<Error>() {
        return of_error(error);
    }
    let (status, entry) = if error.is::<TimedOut>() {
        // Only a whole client would know the outcome.
        (StatusCode::GATEWAY_TIMEOUT, timeout(Outcome::Unknown))
    } else {
        // The text of a foreign error may not be meant for the caller.
        let (code, message) = ("internal_clerk_error", "internal error");
        let sentence = "There was an internal error.";
        let entry = entry(code, message, sentence, Outcome::Unknown);
        (StatusCode::INTERNAL_SERVER_ERROR, entry)
    };
    errors(status, ClerkErrors::new(entry), None)
}

/// Returns the response from which a client draws the same conclusions as from the error.
pub(crate) fn of_error(error: &Error) -> Response<Full<Bytes>> {
    let forwarded = error.status().filter(|it| may_be_forwarded(*it, error));
    let (status, mut body) = match forwarded {
        Some(status) => (status, error.clerk_errors().cloned().unwrap_or_default()),
        None => {
            let (status, entry) = translated(error);
            (status, ClerkErrors::new(entry))
        }
    };
    if body.errors.is_empty() {
        body.errors.push(bad_gateway(error.outcome()));
    }
    // The caller needs the id to revoke a token that was minted although the call failed. The id of
    // another user's token is not shown, because the caller would revoke that one.
    let id = error.actor_token_id();
    if let Some(id) = id.filter(|_| !error.has_foreign_token()) {
        let first = &mut body.errors[0];
        first
            .meta
            .insert("actor_token_id".into(), id.as_str().into());
    }
    body.clerk_trace_id = error.trace_id().map(str::to_owned);
    errors(status, body, error.retry_after())
}

/// Whether the caller may see this status. A 4xx says that nothing happened, so it is hidden where
/// that is not certain, for example after a lost attempt. A 401 that the API gave to the client is
/// hidden too, because it is not about the caller's key.
fn may_be_forwarded(status: StatusCode, error: &Error) -> bool {
    let is_about_our_key = status == StatusCode::UNAUTHORIZED && error.attempts() > 0;
    let is_refusal = status.is_client_error() && error.outcome().is_without_effect();
    status.is_server_error() || is_refusal && !is_about_our_key
}

/// Returns the status and entry for a failure whose own status cannot be forwarded.
fn translated(error: &Error) -> (StatusCode, ClerkError) {
    let outcome = error.outcome();
    match error.kind() {
        ErrorKind::InvalidRequest if outcome.is_without_effect() => (
            StatusCode::UNPROCESSABLE_ENTITY,
            ClerkError::new("form_param_value_invalid", "is invalid", error.to_string()),
        ),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, timeout(outcome)),
        _ if outcome == Outcome::NotSent => {
            let (code, message) = ("service_unavailable", "service unavailable");
            let sentence = "The service cannot be reached at the moment.";
            let entry = entry(code, message, sentence, outcome);
            (StatusCode::SERVICE_UNAVAILABLE, entry)
        }
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

/// Returns an entry that says what failed, and whether the operation may have taken effect.
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
    use crate::ActorTokenId;

    #[test]
    fn waits_are_rounded_up_to_whole_seconds() {
        let errors = |wait| errors(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::default(), wait);
        for (millis, seconds) in [(0, "0"), (1, "1"), (1000, "1"), (1001, "2"), (90_000, "90")] {
            let response = errors(Some(Duration::from_millis(millis)));
            assert_eq!(response.headers()[RETRY_AFTER], seconds);
        }
        let longest = errors(Some(Duration::MAX));
        assert_eq!(longest.headers()[RETRY_AFTER], u64::MAX.to_string());
    }

    #[test]
    fn trace_ids_are_kept_or_made() {
        let errors = |errors| super::errors(StatusCode::BAD_REQUEST, errors, None);
        let given = ClerkErrors {
            clerk_trace_id: Some("upstream".into()),
            ..ClerkErrors::default()
        };
        assert_eq!(errors(given).headers()[TRACE_ID], "upstream");

        let (one, other) = (
            errors(ClerkErrors::default()),
            errors(ClerkErrors::default()),
        );
        assert_eq!(one.headers()[TRACE_ID].len(), 32);
        assert_ne!(one.headers()[TRACE_ID], other.headers()[TRACE_ID]);
    }

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

    #[test]
    fn failure_that_may_have_taken_effect_is_never_a_4xx() {
        for kind in KINDS {
            for outcome in [Outcome::Unknown, Outcome::Applied] {
                for status in [None, Some(200), Some(302), Some(400), Some(429), Some(503)] {
                    let mut error = Error::new(kind, outcome);
                    if let Some(code) = status {
                        error = error.with_status(StatusCode::from_u16(code).unwrap());
                    }
                    let sent = of_error(&error).status().as_u16();
                    assert!(sent >= 500, "{kind:?} {outcome:?} {status:?}: {sent}");
                }
            }
        }
    }

    fn first_entry(error: &Error) -> serde_json::Value {
        let body = of_error(error).into_body().into_inner().unwrap();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["errors"][0].take()
    }

    #[test]
    fn failure_states_its_outcome() {
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
                let entry = first_entry(&Error::new(kind, outcome));
                let text = entry["long_message"].as_str().unwrap();
                assert!(text.ends_with(sentence), "{kind:?} {outcome:?}: {text}");
            }
        }
    }

    #[test]
    fn minted_token_is_named_by_every_failure() {
        let id: ActorTokenId = "act_1".parse().unwrap();
        let of = |kind| Error::new(kind, Outcome::Applied);
        let unavailable = |errors| Error::api(StatusCode::SERVICE_UNAVAILABLE, errors);
        let forwarded = ClerkErrors::new(ClerkError::new("down", "down", "It is down."));
        for error in [
            of(ErrorKind::Timeout),
            of(ErrorKind::Transport),
            unavailable(ClerkErrors::default()),
            unavailable(forwarded),
        ] {
            let error = error.with_actor_token_id(Some(id.clone()));
            let entry = first_entry(&error);
            assert_eq!(entry["meta"]["actor_token_id"], "act_1", "{error}");
        }
    }

    #[test]
    fn failure_without_a_response_is_translated() {
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
            let sent = of_error(&Error::new(kind, outcome)).status();
            assert_eq!(sent, status, "{kind:?} {outcome:?}");
        }
    }
}
