//! The events: retries, rate limits and settled tokens. A success is not logged.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use tracing::{Level, Metadata, Span, field::Empty};

use super::{TARGET, error_type, meter, names};
use crate::{ActorTokenId, BoxError, Error, OperationKind, settle_end::SettleEnd};

/// The name of the span in which a token is settled.
const SETTLE: &str = "settle";

/// Logs that this attempt failed and that another follows after `pause`. A rate limit is a WARN, because
/// only the caller can resolve it; any other failure is an INFO.
pub(crate) fn retrying(kind: OperationKind, error: &BoxError, attempt: u32, pause: Duration) {
    let error = error.downcast_ref::<Error>();
    let error_type = error_type(error);
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::event!(
                target: TARGET,
                Level::$level,
                clerk.operation = names(kind).operation,
                attempt = i64::from(attempt),
                pause_ms = milliseconds(pause),
                "error.type" = &*error_type,
                clerk.error.code = error.and_then(Error::code),
                clerk.trace_id = error.and_then(Error::trace_id),
                $message
            )
        };
    }
    if is_rate_limit(error) {
        event!(WARN, "rate limited, trying again after a pause");
    } else {
        event!(INFO, "an attempt failed, trying again after a pause");
    }
    meter::retry(kind, error_type);
}

/// Logs a rate limit after which no attempt follows, because operators have to know it. Any other last
/// failure is left to the error that the caller gets.
pub(crate) fn rate_limited(kind: OperationKind, error: &BoxError) {
    let error = error.downcast_ref::<Error>();
    if !is_rate_limit(error) {
        return;
    }
    tracing::event!(
        target: TARGET,
        Level::WARN,
        clerk.operation = names(kind).operation,
        retry_after_ms = error.and_then(Error::retry_after).map(milliseconds),
        out_of_budget = error.is_some_and(Error::is_out_of_budget),
        clerk.error.code = error.and_then(Error::code),
        clerk.trace_id = error.and_then(Error::trace_id),
        "rate limited, not trying again"
    );
}

fn is_rate_limit(error: Option<&Error>) -> bool {
    error.and_then(Error::status) == Some(StatusCode::TOO_MANY_REQUESTS)
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the span of a token that is settled in the background: the current one, if it is such a span.
/// A new one follows from the current span and is no child of it, because that one may end first.
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

/// Logs and counts how a token ended that was not returned. If the current span is the one that it is
/// settled in, the end is recorded there, too.
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
        SettleEnd::Revoked => event!(INFO, "a token that was not returned was revoked"),
        SettleEnd::Accepted => event!(
            ERROR,
            "a token that was not returned had been used: a session is live"
        ),
        SettleEnd::NotRevoked => {
            event!(ERROR, "a token that was not returned could not be revoked");
        }
        SettleEnd::Unknown => event!(ERROR, "a token may have been minted and was not returned"),
        SettleEnd::Foreign => event!(ERROR, "a create returned a token of another user"),
    }
}

fn is_settling(span: &Span) -> bool {
    let is_ours = |it: &Metadata<'_>| it.target() == TARGET && it.name() == SETTLE;
    span.metadata().is_some_and(is_ours)
}

/// Seconds since 1970.
fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
