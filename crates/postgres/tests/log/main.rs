//! The writer keeps every entry in the chain of its instance, and instances inherit each other. They run against a real
//! PostgreSQL.

mod chain;
mod chaos;
mod check;
mod commit;
mod identity;
mod leases;
mod maintain;
#[cfg(feature = "metrics")]
#[path = "../../../../tests/support/measured.rs"]
mod measured;
#[cfg(feature = "metrics")]
mod metered;
mod proxy;
mod schema;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod throughput;
mod tls;
