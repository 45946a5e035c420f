//! Names and values of spans, events and metrics, in one place so that all three agree.
//!
//! This module is never given a user id, an actor, a credential, a URL, a header value or a body. Text
//! from the network, such as a trace id or an error code, arrives here stripped and capped.

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

/// Returns why a call or an attempt failed, as one of few values: the status of an API error, otherwise a
/// word. `None` stands for an error that is not an [`Error`].
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

/// Returns why a future is dropped before it is ready: a panic, the call's deadline, or a cancellation.
pub(crate) fn interrupted(deadline: Option<Instant>) -> &'static str {
    if std::thread::panicking() {
        "panic"
    } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        "timeout"
    } else {
        "cancelled"
    }
}

/// Without the feature `metrics` nothing is measured.
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
