//! A gateway for Clerk's actor tokens: any Clerk SDK creates and revokes them through it, with another base
//! URL and a key of the gateway.
//!
//! It decides who may impersonate whom and how often, records every call durably, knows every token that is
//! live, and ends it on request. The binary of this package serves it; [`Gateway::router`] nests it in an
//! axum application. It runs on one machine over SQLite, or on many over PostgreSQL and Redis.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod config;
pub mod storage;
pub mod store;

mod admin;
mod console;
mod engines;
mod error;
mod follow;
mod gateway;
mod meter;
mod operators;
mod ops;
mod pause;
mod quota;
mod recovery;
mod routes;
mod stack;
mod wire;

pub mod serve;

pub use clerk_actor_tokens_store::{Ended, LeaseEnd};

pub use self::{
    config::Config,
    error::OpenError,
    gateway::{Gateway, Shutdown},
    meter::{Metrics, MetricsError, describe_metrics},
    operators::{InvalidOperator, Operator, Operators, Role},
};

/// The leases of a gateway.
pub type Leases = clerk_actor_tokens_store::Leases<storage::Storage, storage::Writer>;

/// Compiles the code block of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
