//! Answers on the wire: a token, or an error body.

use std::{fmt::Write, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;

use crate::{ActorToken, ClerkErrors};

const TRACE_ID: HeaderName = HeaderName::from_static("clerk-trace-id");

/// A token, with its credential if it has one.
pub(super) fn token(token: &ActorToken) -> Response<Full<Bytes>> {
    json(StatusCode::OK, token.expose_json())
}

/// A JSON body under this status. No cache may keep it, for it may hold a credential.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let body = body.into();
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error body under this status. It gets a trace id of its own unless it has one.
pub(crate) fn errors(
    status: StatusCode,
    mut errors: ClerkErrors,
    retry_after: Option<Duration>,
) -> Response<Full<Bytes>> {
    let trace_id = errors.clerk_trace_id.get_or_insert_with(new_trace_id);
    let trace_id = HeaderValue::try_from(trace_id.as_str());
    // Text, numbers and maps with text keys always encode.
    let mut response = json(status, serde_json::to_vec(&errors).unwrap_or_default());
    let headers = response.headers_mut();
    if let Ok(trace_id) = trace_id {
        headers.insert(TRACE_ID, trace_id);
    }
    if let Some(wait) = retry_after {
        // Rounded up, so that nobody comes back too early.
        let seconds = wait
            .as_secs()
            .saturating_add(u64::from(wait.subsec_nanos() > 0));
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn new_trace_id() -> String {
    let mut id = String::with_capacity(32);
    // Writing to a `String` cannot fail.
    let _ = write!(id, "{:032x}", fastrand::u128(..));
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, "0"), (1, "1"), (1000, "1"), (1001, "2"), (90_000, "90")] {
            let wait = Some(Duration::from_millis(millis));
            let answer = errors(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::default(), wait);
            assert_eq!(answer.headers()[RETRY_AFTER], seconds);
        }
        let forever = Some(Duration::MAX);
        let _ = errors(
            StatusCode::TOO_MANY_REQUESTS,
            ClerkErrors::default(),
            forever,
        );
    }

    #[test]
    fn trace_ids_are_kept_or_made() {
        let given = ClerkErrors {
            clerk_trace_id: Some("upstream".into()),
            ..ClerkErrors::default()
        };
        let answer = errors(StatusCode::BAD_REQUEST, given, None);
        assert_eq!(answer.headers()[TRACE_ID], "upstream");

        let one = errors(StatusCode::BAD_REQUEST, ClerkErrors::default(), None);
        let other = errors(StatusCode::BAD_REQUEST, ClerkErrors::default(), None);
        assert_eq!(one.headers()[TRACE_ID].len(), 32);
        assert_ne!(one.headers()[TRACE_ID], other.headers()[TRACE_ID]);
    }
}
