//! Tests against a real redis-server, which must be in the PATH.

mod connection;
mod gate;
mod gate_faults;
mod gate_script;
mod limit_faults;
mod limit_script;
mod limits;
#[cfg(feature = "metrics")]
#[path = "../../../../tests/support/measured.rs"]
mod measured;
mod metered;
mod redaction;
mod scripts;
mod server;
mod stack;
