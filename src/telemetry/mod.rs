//! What operators see of calls and attempts: the words of spans, events and metrics in one place, so
//! that all three agree.
//!
//! No user id, actor, credential, URL, header value or body is ever handed to this module. What comes
//! from the network, like trace ids and error codes, was made presentable before.

mod error_type;
mod events;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "no_meter.rs"]
mod meter;
mod settling;
mod words;

#[cfg(feature = "metrics")]
pub use self::meter::describe_metrics;
pub(crate) use self::{
    error_type::{ErrorType, interrupted},
    events::{rate_limited, retrying},
    meter::{AttemptMeter, CallMeter, METERED, retry_budget_left},
    settling::{settled, settling_span},
    words::{METHOD, OK, attempt_name, call_name, operation, outcome, url_template},
};

/// The target of all spans and events, so that a filter outlives changes inside the crate.
pub(crate) const TARGET: &str = "clerk_actor_tokens";
