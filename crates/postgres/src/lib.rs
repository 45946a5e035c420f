//! The audit, leases and recovery of [`clerk_actor_tokens_policy`] over PostgreSQL, shared by several processes.
//!
//! | part | role |
//! |---|---|
//! | [`PostgresConfig`] | where PostgreSQL is, and how processes share it |
//! | [`PostgresStore`] | the sink of the audit; calls, leases and settings; sweeps of processes that were killed |
//! | [`Leases`](clerk_actor_tokens_store::Leases) | ends tokens, over the store |
//! | [`verify`], [`export`] | read the records of all instances, also while they run |
//!
//! The README has an example, the tables, and what holds when PostgreSQL is down.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::print_stderr, clippy::dbg_macro)]

mod config;
mod entry;
mod error;
mod export;
mod log;
mod prune;
mod read;
mod schema;
mod session;
mod store;
mod sweep;
mod telemetry;
mod tls;
mod verify;
mod watch;

use clerk_actor_tokens::BoxError;

#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use self::telemetry::describe_metrics;
pub use self::{
    config::PostgresConfig,
    error::PostgresError,
    export::export,
    log::PostgresLog,
    store::{PostgresStore, Writer},
    verify::verify,
};
pub use clerk_actor_tokens_store::{Tampered, Verified, VerifyError};

/// Compiles the code blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The result of the parts of a store. A [`PostgresError`] in it is returned as it is.
type Result<T, E = BoxError> = std::result::Result<T, E>;

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
