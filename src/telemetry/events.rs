//! What is logged of attempts: one line for each that did not go well, nothing for those that did.

use std::time::Duration;

use http::StatusCode;

use super::{ErrorType, TARGET, meter, operation};
use crate::{BoxError, Error, OperationKind};

/// The attempt of this number failed, and another follows after `pause`: a WARN line for a rate limit, for it is
/// the caller's to mend, INFO for what mends itself.
pub(crate) fn retrying(kind: OperationKind, error: &BoxError, attempt: u32, pause: Duration) {
    let error = error.downcast_ref::<Error>();
    let error_type = ErrorType::of(error);
    meter::retry(kind, error_type);
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::event!(
                target: TARGET,
                tracing::Level::$level,
                clerk.operation = operation(kind),
                attempt = i64::from(attempt),
                pause_ms = milliseconds(pause),
                "error.type" = error_type.as_str(),
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
}

/// An attempt failed, and none follows. Only a rate limit is worth a line of its own: the error
/// tells its caller, but it is the operator who has to know.
pub(crate) fn rate_limited(kind: OperationKind, error: &BoxError) {
    let error = error.downcast_ref::<Error>();
    if !is_rate_limit(error) {
        return;
    }
    tracing::event!(
        target: TARGET,
        tracing::Level::WARN,
        clerk.operation = operation(kind),
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
