//! Tower layers around Clerk's actor tokens, for teams that let people impersonate users.
//!
//! Each layer is built on the public API of `clerk_actor_tokens` alone, and fits any stack of
//! `Service<ActorTokenRequest>`.

pub mod audit;

mod call_id;
mod principal;

pub use self::{call_id::CallId, principal::Principal};
