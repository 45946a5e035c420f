//! Ending impersonations that are live, with the feature `sessions`.
//!
//! The API does not revoke a token that was accepted. Its session is found among those of the user, by the
//! `actor` in it, and revoked. [`Sessions`] is the stack for that: over the attempt level of a client.

mod error;
pub(crate) mod session;
mod stack;

pub(crate) use self::stack::{Call, Sessions};
pub use self::{error::EndImpersonationError, session::Session};
