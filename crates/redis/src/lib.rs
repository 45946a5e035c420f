//! Rate limits and the gate of [`clerk_actor_tokens_policy`] over Redis, so that several processes share them.
//!
//! | store | trait | shared by |
//! |---|---|---|
//! | [`RedisRateLimitStore`] | [`RateLimitStore`](clerk_actor_tokens_policy::RateLimitStore) | a [namespace](RedisConfig::namespace) |
//! | [`RedisGate`] | [`Gate`](clerk_actor_tokens_policy::Gate) | an account and a kind of operation |
//!
//! Each decision is one script with the clock of the server. While Redis is down or slow, each process decides
//! by limits of its own: the limit divided by the number of [replicas](RedisConfig::replicas). No call waits for
//! Redis longer than the [limit of a command](RedisConfig::command_limit), and no call passes without a limit.
//!
//! # Example
//!
//! ```no_run
//! use std::{num::NonZeroU32, time::Duration};
//! use clerk_actor_tokens::{Client, SecretKey};
//! use clerk_actor_tokens_policy::{GateLayer, Limit, LimitBy, RateLimitLayer};
//! use clerk_actor_tokens_redis::{RedisConfig, RedisGate, RedisRateLimitStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let three = NonZeroU32::new(3).ok_or("zero")?;
//! let redis = RedisConfig::new("redis://10.0.0.7/")?.replicas(three).connect()?;
//! let per_actor = Limit::new(LimitBy::Actor, NonZeroU32::new(10).ok_or("zero")?, Duration::from_secs(60));
//!
//! let client = Client::builder(SecretKey::new(std::env::var("CLERK_SECRET_KEY")?)?)
//!     .call_layer(RateLimitLayer::new(RedisRateLimitStore::new(&redis), [per_actor]))
//!     .attempt_layer(GateLayer::new(RedisGate::new(&redis), "production"))
//!     .build()?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
// All output goes to `tracing`, where users can turn it off and tests search it for secrets.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

mod config;
mod connection;
mod gate;
mod key;
mod rate_limit;
mod telemetry;
mod time;

#[cfg(feature = "metrics")]
pub use self::telemetry::describe_metrics;
pub use self::{
    config::{ConfigError, RedisConfig},
    connection::Redis,
    gate::RedisGate,
    rate_limit::{RedisRateLimitStore, RedisReceipt},
};

/// Compiles the code blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
