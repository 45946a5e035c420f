//! Names and values that spans, events and metrics share.
//!
//! No user id, actor, credential, URL, header value or body may be passed to this module. Text from the
//! network, such as a trace id, must be cleaned and capped.

mod events;
#[cfg(feature = "metrics")]
mod meter;

use std::borrow::Cow;

use tokio::time::Instant;

#[cfg(feature = "metrics")]
pub use self::meter::describe_metrics;
pub(crate) use self::{
    events::{rate_limited, retrying, settled, settling_span},
    meter::{Meter, retry_budget_left},
};
use crate::{Error, ErrorKind, OperationKind};

pub(crate) const METERED: bool = cfg!(feature = "metrics");

/// The target of all spans and events, so that filters do not depend on module names.
pub(crate) const TARGET: &str = "clerk_actor_tokens";

/// The outcome of a success.
pub(crate) const OK: &str = "ok";

pub(crate) struct Names {
    pub(crate) method: &'static str,
    pub(crate) url_template: &'static str,
    /// The span name of a call.
    pub(crate) call: &'static str,
    /// The span name of an attempt, by OpenTelemetry's conventions.
    pub(crate) attempt: &'static str,
}

pub(crate) fn names(kind: OperationKind) -> Names {
    match kind {
        OperationKind::Create => Names {
            method: "POST",
            url_template: "/actor_tokens",
            call: "actor_tokens.create",
            attempt: "POST /actor_tokens",
        },
        OperationKind::Revoke => Names {
            method: "POST",
            url_template: "/actor_tokens/{actor_token_id}/revoke",
            call: "actor_tokens.revoke",
            attempt: "POST /actor_tokens/{actor_token_id}/revoke",
        },
        #[cfg(feature = "sessions")]
        OperationKind::ListSessions => Names {
            method: "GET",
            url_template: "/sessions",
            call: "sessions.list",
            attempt: "GET /sessions",
        },
        #[cfg(feature = "sessions")]
        OperationKind::EndSession => Names {
            method: "POST",
            url_template: "/sessions/{session_id}/revoke",
            call: "sessions.end",
            attempt: "POST /sessions/{session_id}/revoke",
        },
    }
}

/// Returns the value of `error.type`: the status of an API error, else a word. `None` is an error that is
/// not an [`Error`].
pub(crate) fn error_type(error: Option<&Error>) -> Cow<'static, str> {
    let Some(error) = error else {
        return "foreign".into();
    };
    match (error.kind(), error.status()) {
        (ErrorKind::Api | ErrorKind::UnexpectedStatus, Some(status)) => {
            status.as_str().to_owned().into()
        }
        _ => error.kind().as_str().into(),
    }
}

/// Returns why a pending future is dropped: a panic, the deadline of the call, or a cancellation.
pub(crate) fn interrupted(deadline: Option<Instant>) -> &'static str {
    if std::thread::panicking() {
        "panic"
    } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        "timeout"
    } else {
        "cancelled"
    }
}

#[cfg(not(feature = "metrics"))]
mod meter {
    use std::borrow::Cow;

    use http::StatusCode;

    use crate::{OperationKind, settle_end::SettleEnd};

    #[derive(Debug)]
    pub(crate) struct Meter;

    impl Meter {
        pub(crate) fn call(_: OperationKind) -> Self {
            Self
        }

        pub(crate) fn attempt(_: OperationKind, _: Option<(&str, u16)>) -> Self {
            Self
        }

        pub(crate) fn end(
            &self,
            _: &'static str,
            _: Option<StatusCode>,
            _: Option<Cow<'static, str>>,
        ) {
        }
    }

    pub(crate) fn retry(_: OperationKind, _: Cow<'static, str>) {}

    pub(crate) fn retry_budget_left(_: impl FnOnce() -> f64) {}

    pub(crate) fn settled(_: SettleEnd) {}
}
