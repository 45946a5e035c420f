//! [`Gate`], which decides when attempts may be sent.

use std::{sync::Arc, time::Duration};

use clerk_actor_tokens::OperationKind;

use crate::StoreUnavailable;

/// Decides when attempts may be sent after a 429: [in memory](super::MemoryGate), or shared by several
/// processes.
///
/// A gate has an epoch, which changes whenever the gate closes or stays closed for longer.
pub trait Gate: Send + Sync + 'static {
    /// Asks for a place now, or for a slot that comes within `patience`. While the gate is open this
    /// costs no round trip.
    ///
    /// # Errors
    ///
    /// When the state of the gate is not known. A create is then refused with 503; a revoke passes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or not using the slot, leaves the slot empty.
    fn pass(
        &self,
        scope: &Scope,
        patience: Duration,
    ) -> impl Future<Output = Result<Pass, StoreUnavailable>> + Send;

    /// Returns the epoch as far as it is known here, without a round trip.
    fn epoch(&self, scope: &Scope) -> u64;

    /// Closes the gate, because an attempt that passed in `epoch` met a 429. Only an attempt of the
    /// current epoch raises the level. It must not block.
    fn close(&self, scope: &Scope, epoch: u64, retry_after: Option<Duration>);
}

/// The requests that share a gate: those of an account and a kind of operation, so that creates never hold
/// revokes back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Scope {
    /// The name of the account.
    pub account: Arc<str>,
    /// The kind of operation.
    pub kind: OperationKind,
}

impl Scope {
    /// Makes a scope.
    pub fn new(account: impl Into<Arc<str>>, kind: OperationKind) -> Self {
        Self {
            account: account.into(),
            kind,
        }
    }
}

/// Whether and when an attempt may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Now.
    Go {
        /// The epoch of the attempt.
        epoch: u64,
    },
    /// After this time, unless the epoch changes.
    Wait {
        /// The epoch of the attempt.
        epoch: u64,
        /// The time until the slot.
        slot: Duration,
    },
    /// Not within the patience of the caller.
    No {
        /// The time until the slot that is free now.
        retry_after: Duration,
    },
}
