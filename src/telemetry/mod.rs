//! Names and values of spans, events and metrics, in one place so that all three agree.
//!
//! This module is never given a user id, an actor, a credential, a URL, a header value or a body. Text
//! from the network, such as a trace id or an error code, arrives here stripped and capped.

mod events;
#[cfg(feature = "metrics")]
mod meter;

use http::StatusCode;
use tokio::time::Instant;

#[cfg(feature = "metrics")]
pub use self::meter::describe_metrics;
pub(crate) use self::{
    events::{rate_limited, retrying, settled, settling_span},
    meter::{AttemptMeter, CallMeter, retry_budget_left},
};
use crate::{Error, ErrorKind, OperationKind, Outcome};

/// Whether calls and attempts are measured.
pub(crate) const METERED: bool = cfg!(feature = "metrics");

/// The target of all spans and events, so that filters do not depend on module names.
pub(crate) const TARGET: &str = "clerk_actor_tokens";

/// Both operations are POSTs.
pub(crate) const METHOD: &str = "POST";

/// The outcome of a success.
pub(crate) const OK: &str = "ok";

/// The names of an operation.
pub(crate) struct Names {
    pub(crate) operation: &'static str,
    /// The path under the base URL, without its id.
    pub(crate) url_template: &'static str,
    /// The span name of a call.
    pub(crate) call: &'static str,
    /// The span name of an attempt: method and template, as OpenTelemetry names HTTP client spans.
    pub(crate) attempt: &'static str,
}

pub(crate) fn names(kind: OperationKind) -> Names {
    match kind {
        OperationKind::Create => Names {
            operation: "create",
            url_template: "/actor_tokens",
            call: "actor_tokens.create",
            attempt: "POST /actor_tokens",
        },
        OperationKind::Revoke => Names {
            operation: "revoke",
            url_template: "/actor_tokens/{actor_token_id}/revoke",
            call: "actor_tokens.revoke",
            attempt: "POST /actor_tokens/{actor_token_id}/revoke",
        },
    }
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotSent => "not_sent",
        Outcome::Rejected => "rejected",
        Outcome::Unknown => "unknown",
        Outcome::Applied => "applied",
    }
}

/// Why a call or an attempt failed, as one of few values; OpenTelemetry's `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// The API responded with this status.
    Status(StatusCode),
    Word(&'static str),
}

impl ErrorType {
    /// Returns the type of an error; `None` stands for one that is not an [`Error`].
    pub(crate) fn of(error: Option<&Error>) -> Self {
        let Some(error) = error else {
            return Self::Word("foreign");
        };
        Self::Word(match (error.kind(), error.status()) {
            (ErrorKind::Api | ErrorKind::UnexpectedStatus, Some(status)) => {
                return Self::Status(status);
            }
            (ErrorKind::Api, None) => "api",
            (ErrorKind::UnexpectedStatus, None) => "unexpected_status",
            (ErrorKind::InvalidRequest, _) => "invalid_request",
            (ErrorKind::Key, _) => "key",
            (ErrorKind::Connect, _) => "connect",
            (ErrorKind::Overloaded, _) => "overloaded",
            (ErrorKind::Runtime, _) => "runtime",
            (ErrorKind::Timeout, _) => "timeout",
            (ErrorKind::Transport, _) => "transport",
            (ErrorKind::AlreadyAccepted, _) => "already_accepted",
            (ErrorKind::AlreadyRevoked, _) => "already_revoked",
            (ErrorKind::UnreadableAnswer, _) => "unreadable_answer",
            (ErrorKind::Foreign, _) => "foreign",
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Word(word) => word,
        }
    }
}

/// Returns why a future is dropped before it is ready: a panic, the call's deadline, or a cancellation.
pub(crate) fn interrupted(deadline: Option<Instant>) -> ErrorType {
    ErrorType::Word(if std::thread::panicking() {
        "panic"
    } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        "timeout"
    } else {
        "cancelled"
    })
}

/// Without the feature `metrics` nothing is measured.
#[cfg(not(feature = "metrics"))]
mod meter {
    use http::StatusCode;

    use super::ErrorType;
    use crate::{OperationKind, settle_end::SettleEnd};

    #[derive(Debug)]
    pub(crate) struct CallMeter;

    impl CallMeter {
        pub(crate) fn begin(_: OperationKind) -> Self {
            Self
        }

        pub(crate) fn end(&self, _: &'static str, _: Option<ErrorType>) {}
    }

    #[derive(Debug)]
    pub(crate) struct AttemptMeter;

    impl AttemptMeter {
        pub(crate) fn begin(_: OperationKind, _: Option<(&str, u16)>) -> Self {
            Self
        }

        pub(crate) fn end(&self, _: &'static str, _: Option<StatusCode>, _: Option<ErrorType>) {}
    }

    pub(crate) fn retry(_: OperationKind, _: ErrorType) {}

    pub(crate) fn retry_budget_left(_: impl FnOnce() -> f64) {}

    pub(crate) fn settled(_: SettleEnd) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ClerkErrors;

    #[test]
    fn attempt_name_is_method_and_template() {
        for kind in [OperationKind::Create, OperationKind::Revoke] {
            let names = names(kind);
            assert_eq!(names.attempt, format!("{METHOD} {}", names.url_template));
        }
    }

    #[test]
    fn error_type_is_the_status_of_an_api_error_and_otherwise_a_word() {
        let limited = Error::api(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::default());
        assert_eq!(ErrorType::of(Some(&limited)).as_str(), "429");
        // The timeout expired while the body of a 404 was read.
        let late = Error::new(ErrorKind::Timeout, Outcome::Rejected);
        let late = late.with_status(StatusCode::NOT_FOUND);
        assert_eq!(ErrorType::of(Some(&late)).as_str(), "timeout");
        assert_eq!(ErrorType::of(None).as_str(), "foreign");
    }

    #[tokio::test(start_paused = true)]
    async fn future_dropped_at_its_deadline_timed_out() {
        let now = Instant::now();
        assert_eq!(interrupted(None).as_str(), "cancelled");
        let later = now + Duration::from_secs(1);
        assert_eq!(interrupted(Some(later)).as_str(), "cancelled");
        assert_eq!(interrupted(Some(now)).as_str(), "timeout");
    }
}
