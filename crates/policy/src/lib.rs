//! Tower layers around Clerk's actor tokens, for teams that let people impersonate users.
//!
//! Each layer is built on the public API of `clerk_actor_tokens` alone, and fits any stack of
//! `Service<ActorTokenRequest>`. A layer that refuses a call does so by
//! [`Error::refused`](clerk_actor_tokens::Error::refused): nothing was sent, and the default retry does
//! not repeat it.
//!
//! | layer | level | |
//! |---|---|---|
//! | [`AuditLayer`] | observers | records every call in an [`AuditSink`] |
//! | [`AttributionLayer`] | observers | stamps principal, reason and policy into the actor's claims |
//! | [`AuthorizeLayer`] | call | lets an [`Authorizer`], such as a [`Policy`], allow or deny a create |
//! | [`RateLimitLayer`] | call | limits creates by actor, subject, principal and in all |
//! | [`AuditBarrierLayer`] | call, the last one | records that a call is about to be sent |
//! | [`GateLayer`] | attempt | holds attempts back after a 429 |
//!
//! The host puts the [`Principal`] who asks into the extensions of the request.
//!
//! # Example
//!
//! ```
//! use std::{num::NonZeroU32, time::Duration};
//! use clerk_actor_tokens::{
//!     Actor, ActorTokenRequest, ClientBuilder, CreateActorToken, sandbox::Sandbox,
//! };
//! use clerk_actor_tokens_policy::{
//!     AttributionLayer, AuthorizeLayer, GateLayer, Limit, LimitBy, MemoryGate, MemoryRateLimitStore,
//!     Principal, RateLimitLayer, SharedPolicy,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = SharedPolicy::new(toml::from_str(
//!     r#"
//!     version = "2026-11-30"
//!     lifetime = { default = 300, longest = 900 }
//!     session = { default = 600, longest = 1800 }
//!     reason = { min_length = 10 }
//!     "#,
//! )?);
//! let per_actor = Limit::new(LimitBy::Actor, NonZeroU32::new(10).ok_or("zero")?, Duration::from_secs(60));
//!
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .observe_layer(AttributionLayer::new("support-gateway").policy(policy.clone()))
//!     .call_layer(AuthorizeLayer::new(policy))
//!     .call_layer(RateLimitLayer::new(MemoryRateLimitStore::new(), [per_actor]))
//!     .attempt_layer(GateLayer::new(MemoryGate::new(), "production"))
//!     .build()?;
//!
//! let actor = Actor::new("user_admin").claim("reason", "ticket 4711: cannot log in");
//! let mut request = ActorTokenRequest::create(CreateActorToken::new("user_subject", actor));
//! request.extensions_mut().insert(Principal::new("user_admin").via("console"));
//! let token = client.send(request).await?;
//! # assert!(token.expose_url().is_some());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
// All output goes to `tracing`, where users can turn it off and tests search it for secrets.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

pub mod attribution;
pub mod audit;
pub mod authorize;
pub mod gate;
pub mod rate_limit;

mod context;
mod future;
mod principal;
mod refusal;
mod store_unavailable;
mod telemetry;

pub use self::{
    attribution::AttributionLayer,
    audit::{AuditBarrierLayer, AuditLayer, AuditSink},
    authorize::{AuthorizeLayer, Authorizer, Policy, SharedPolicy},
    context::{CallId, Reason},
    gate::{Gate, GateLayer, MemoryGate},
    principal::Principal,
    rate_limit::{Limit, LimitBy, MemoryRateLimitStore, RateLimitLayer, RateLimitStore},
    store_unavailable::StoreUnavailable,
};

/// Describes all metrics of this crate's layers to the recorder. Call it once, after the recorder is
/// installed.
///
/// | metric | kind, unit | labels |
/// |---|---|---|
/// | `clerk.actor_tokens.policy.decisions` | counter | `layer`, `decision`: `passed`, `refused`, `given_back`, and for a refusal `rule` |
/// | `clerk.actor_tokens.policy.gate_wait` | histogram, seconds | `operation` |
/// | `clerk.actor_tokens.policy.gate_closed` | counter | `operation` |
/// | `clerk.actor_tokens.policy.gate_level` | gauge of a [`MemoryGate`]: 0 while it is open, else its level | `account`, `operation` |
/// | `clerk.actor_tokens.policy.audit_write` | histogram, seconds | `step`: `begin`, `sending`, `end`, `replay`; `result`: `ok`, `error` |
/// | `clerk.actor_tokens.policy.audit_up` | gauge, 0 or 1 | |
/// | `clerk.actor_tokens.policy.audit_spool_depth` | gauge, entries | |
/// | `clerk.actor_tokens.policy.audit_refused` | counter | |
/// | `clerk.actor_tokens.policy.audit_withheld` | counter | |
/// | `clerk.actor_tokens.policy.audit_unaudited` | counter | |
/// | `clerk.actor_tokens.policy.audit_follow_ups_dropped` | counter | |
///
/// No label has an unlimited number of values, such as ids.
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    telemetry::meter::describe();
    audit::describe_metrics();
}

/// Compiles the code blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
