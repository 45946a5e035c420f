//! [`CallId`], the identity of a call.

use std::fmt;

use http::Extensions;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::context::CallContext;

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

    /// Returns the id of a call from the extensions of its request, below [`AuditLayer`](crate::AuditLayer)
    /// or [`AttributionLayer`](crate::AttributionLayer).
    pub fn of(extensions: &Extensions) -> Option<Self> {
        CallContext::of(extensions).map(|context| context.call)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.simple().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}
