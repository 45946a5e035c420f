//! [`Content`], what the body of every attempt of a call says.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::CallOptions;
use crate::OperationKind;

/// What the body of every attempt of a call says, and what the layers of every attempt go by.
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    pub(crate) kind: OperationKind,
    pub(super) options: Option<Arc<CallOptions>>,
    pub(super) deadline: Option<Instant>,
}

impl Content {
    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.options.as_deref()
    }

    /// When the call's own time is over, for layers that would sleep past it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
