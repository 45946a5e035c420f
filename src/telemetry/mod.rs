//! What operators see of calls and attempts: the words for it in one place, so that all agree.
//!
//! No user id, actor, credential, URL, header value or body is ever handed to this module. What comes
//! from the network, like trace ids and error codes, was made presentable before.

mod error_type;
mod words;

pub(crate) use self::{
    error_type::{ErrorType, interrupted},
    words::{METHOD, OK, attempt_name, call_name, operation, outcome, url_template},
};

/// The target of all spans, so that a filter outlives changes inside the crate.
pub(crate) const TARGET: &str = "clerk_actor_tokens";
