//! The layers Attribution, Authorize, RateLimit and Gate over the sandbox and over services of the tests.

#[cfg(feature = "metrics")]
#[path = "../../../../tests/support/measured.rs"]
mod measured;
#[path = "../../../../tests/support/probe.rs"]
mod probe;

mod attribution;
mod authorize;
mod contract;
mod drop_at_every_poll;
mod gate;
mod gcra;
mod give_back;
#[path = "../support/marker.rs"]
mod marker;
mod memory_gate;
mod metered;
mod policy_rules;
mod rate_limit;
mod redaction;
mod setup;
