//! Events for retries, rate limits and settled tokens. A success is not logged.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use tracing::{Level, Span, field::Empty};

use super::{TARGET, error_type, meter};
use crate::{ActorTokenId, BoxError, Error, OperationKind, settle_end::SettleEnd};

/// The name of the span of settling.
const SETTLE: &str = "settle";

/// Logs a failed attempt that is retried after `backoff`: a rate limit as WARN, because only the caller
/// can resolve it, any other failure as INFO.
pub(crate) fn retrying(kind: OperationKind, error: &BoxError, attempt: u32, backoff: Duration) {
    let error = error.downcast_ref::<Error>();
    let error_type = error_type(error);
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::event!(
                target: TARGET,
                Level::$level,
                clerk.operation = kind.as_str(),
                attempt = i64::from(attempt),
                pause_ms = milliseconds(backoff),
                "error.type" = &*error_type,
                clerk.error.code = error.and_then(Error::code),
                clerk.trace_id = error.and_then(Error::trace_id),
                $message
            )
        };
    }
    if is_rate_limit(error) {
        event!(WARN, "rate limited, retrying after backoff");
    } else {
        event!(INFO, "attempt failed, retrying after backoff");
    }
    meter::retry(kind, error_type);
}

/// Logs a rate limit that is not retried. The caller gets the error of any other last failure.
pub(crate) fn rate_limited(kind: OperationKind, error: &BoxError) {
    let error = error.downcast_ref::<Error>();
    if !is_rate_limit(error) {
        return;
    }
    tracing::event!(
        target: TARGET,
        Level::WARN,
        clerk.operation = kind.as_str(),
        retry_after_ms = error.and_then(Error::retry_after).map(milliseconds),
        out_of_budget = error.is_some_and(Error::is_out_of_budget),
        clerk.error.code = error.and_then(Error::code),
        clerk.trace_id = error.and_then(Error::trace_id),
        "rate limited, not retried"
    );
}

fn is_rate_limit(error: Option<&Error>) -> bool {
    error.and_then(Error::status) == Some(StatusCode::TOO_MANY_REQUESTS)
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the current span if it is one of settling, else a new one. It follows from the current span,
/// and is not its child, because that span may end first.
pub(crate) fn settling_span() -> Span {
    let current = Span::current();
    if is_settling(&current) {
        return current;
    }
    let span = tracing::span!(
        target: TARGET,
        parent: None,
        Level::INFO,
        SETTLE,
        otel.name = "actor_tokens.settle",
        otel.kind = "internal",
        otel.status_code = Empty,
        actor_token.id = Empty,
        clerk.settle.end = Empty
    );
    if !span.is_disabled() {
        span.follows_from(current);
    }
    span
}

/// Logs and counts the end of a token that was not returned, and records it in the span of settling.
pub(crate) fn settled(
    end: SettleEnd,
    id: Option<&ActorTokenId>,
    exposed_until: Option<SystemTime>,
    error: Option<&Error>,
) {
    meter::settled(end);
    let error_type = error.map(|error| error_type(Some(error)));
    let id = id.map(ActorTokenId::as_str);
    let span = Span::current();
    if is_settling(&span) {
        span.record("actor_token.id", id);
        span.record("clerk.settle.end", end.as_str());
        if !end.is_safe() {
            span.record("otel.status_code", "ERROR");
        }
    }
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::event!(
                target: TARGET,
                Level::$level,
                actor_token.id = id,
                clerk.settle.end = end.as_str(),
                exposed_until = exposed_until.map(unix_seconds),
                "error.type" = error_type.as_deref(),
                $message
            )
        };
    }
    match end {
        SettleEnd::Revoked => event!(INFO, "an unreturned token was revoked"),
        SettleEnd::Accepted => event!(ERROR, "an unreturned token was used: a session is live"),
        SettleEnd::NotRevoked => event!(ERROR, "an unreturned token could not be revoked"),
        SettleEnd::Unknown => event!(ERROR, "a token may have been minted and was not returned"),
        SettleEnd::Foreign => event!(ERROR, "a create returned a token of another user"),
    }
}

fn is_settling(span: &Span) -> bool {
    let metadata = span.metadata();
    metadata.is_some_and(|it| it.target() == TARGET && it.name() == SETTLE)
}

fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
