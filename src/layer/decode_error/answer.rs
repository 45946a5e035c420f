//! An answer other than 200, as an [`Error`].

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;

use super::retry_after;
use crate::{
    ActorToken, ClerkErrors, Error, ErrorKind, Outcome,
    call::{Attempt, Hints},
    text::presentable,
};

/// The error that an answer stands for. Status and trace id are kept whatever the body is.
pub(super) fn decode(response: Response<Full<Bytes>>) -> Error {
    let (head, body) = response.into_parts();
    let status = head.status;
    let error = if status.is_client_error() || status.is_server_error() {
        let body = body.into_inner().unwrap_or_default();
        Error::api(status, ClerkErrors::from_json(&body).unwrap_or_default())
    } else {
        Error::new(ErrorKind::UnexpectedStatus, Outcome::Unknown).with_status(status)
    };
    let error = match error.trace_id() {
        Some(_) => error,
        None => error.with_trace_id(trace_id(&head.headers)),
    };
    error.with_retry_after(retry_after::wait(&head.headers))
}

/// What a status says about the operation. Of a 200 only the body tells.
pub(crate) fn outcome(status: StatusCode) -> Outcome {
    if status.is_client_error() {
        Outcome::Rejected
    } else {
        Outcome::Unknown
    }
}

/// The error of an attempt that ended after the head of its answer: the status is known all the
/// same, and decides; of a 200, what was read of its body does.
pub(super) fn complete(error: Error, attempt: &Attempt) -> Error {
    match attempt.status() {
        Some(StatusCode::OK) if error.actor_token_id().is_none() => {
            match ActorToken::salvage_id(&attempt.read().snapshot()) {
                Some(id) => error
                    .with_status(StatusCode::OK)
                    .with_outcome(Outcome::Applied)
                    .with_actor_token_id(Some(id)),
                None => error,
            }
        }
        Some(status) if status != StatusCode::OK && error.status().is_none() => {
            let hints = attempt.hints().cloned().unwrap_or_default();
            error
                .with_status(status)
                .with_outcome(outcome(status))
                .with_retry_after(hints.retry_after)
                .with_trace_id(hints.trace_id)
        }
        _ => error,
    }
}

/// What the head of a refusal tells beside its status.
pub(crate) fn hints(headers: &HeaderMap) -> Hints {
    Hints {
        retry_after: retry_after::wait(headers),
        trace_id: trace_id(headers),
    }
}

/// The trace id that the head tells: `Clerk-Trace-Id`, else `cf-ray`.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    ["clerk-trace-id", "cf-ray"].into_iter().find_map(|name| {
        let value = headers.get(name)?.to_str().ok()?.trim_ascii();
        (!value.is_empty()).then(|| presentable(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str, headers: &[(&'static str, &'static str)]) -> Error {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        decode(response.body(Full::from(body)).unwrap())
    }

    #[test]
    fn the_status_decides_the_outcome() {
        for (status, outcome) in [
            (400, Outcome::Rejected),
            (404, Outcome::Rejected),
            (429, Outcome::Rejected),
            (500, Outcome::Unknown),
            (503, Outcome::Unknown),
            (201, Outcome::Unknown),
            (204, Outcome::Unknown),
            (302, Outcome::Unknown),
            (101, Outcome::Unknown),
        ] {
            assert_eq!(answer(status, "", &[]).outcome(), outcome, "{status}");
        }
        assert_eq!(answer(307, "", &[]).kind(), ErrorKind::UnexpectedStatus);
    }

    #[test]
    fn html_from_the_edge_keeps_status_and_trace_id() {
        let error = answer(502, "<html>marker</html>", &[("cf-ray", "8f-FRA")]);
        assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
        assert_eq!(error.trace_id(), Some("8f-FRA"));
        assert!(error.code().is_none());
        assert!(!format!("{error} {error:?}").contains("marker"));
    }

    #[test]
    fn the_trace_id_of_the_body_goes_before_those_of_the_head() {
        assert_eq!(answer(400, "", &[("cf-ray", "\t ")]).trace_id(), None);
        let headers = [("clerk-trace-id", "head"), ("cf-ray", "ray")];
        let body = r#"{"errors":[],"clerk_trace_id":"body"}"#;
        assert_eq!(answer(400, body, &headers).trace_id(), Some("body"));
        assert_eq!(answer(400, "", &headers).trace_id(), Some("head"));
    }
}
