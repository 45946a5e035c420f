//! [`CallId`], the identity of a call.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of a call. It is created here and never taken from the caller.
///
/// Ids sort by the time at which they were created, to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(#[serde(with = "uuid::serde::simple")] Uuid);

impl CallId {
    /// Creates a new id.
    #[must_use]
    pub fn create() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}
