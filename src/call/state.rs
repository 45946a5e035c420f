//! [`State`], what became of one attempt so far.

use std::{sync::OnceLock, time::Duration};

use super::Prefix;
use crate::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering},
};

/// What became of one attempt so far.
#[derive(Debug, Default)]
pub(super) struct State {
    claim: AtomicU8,
    pub(super) stale_key: AtomicBool,
    pub(super) held: AtomicBool,
    pub(super) given_up: AtomicBool,
    /// How many layers, one above the other, read the answer.
    pub(super) readers: AtomicU8,
    pub(super) repeated: AtomicBool,
    pub(super) unseen: AtomicBool,
    /// The status of the answer once its head is there, else zero.
    pub(super) status: AtomicU16,
    /// What the head tells of a refusal, should its body not end.
    pub(super) hints: OnceLock<Box<Hints>>,
    /// What was read of the answer's body, for as long as that has not ended.
    pub(super) read: Mutex<Prefix>,
}

// Who has the body: nobody yet; the transport, and nobody knows what became of it; nobody, for ever; the
// transport had it, and what became of it is known.
pub(super) const OPEN: u8 = 0;
pub(super) const TAKEN: u8 = 1;
pub(super) const WITHDRAWN: u8 = 2;
pub(super) const ENDED: u8 = 3;

/// What the head of a refusal tells beside its status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) retry_after: Option<Duration>,
    pub(crate) trace_id: Option<String>,
}

impl State {
    /// Decides who has the body, unless that is decided: then by what.
    pub(super) fn decide(&self, claim: u8) -> Result<u8, u8> {
        // It mostly is, and to look at it costs less than to try.
        match self.claim() {
            OPEN => (self.claim).compare_exchange(OPEN, claim, Ordering::AcqRel, Ordering::Acquire),
            decided => Err(decided),
        }
    }

    pub(super) fn claim(&self) -> u8 {
        self.claim.load(Ordering::Acquire)
    }

    /// Whether nothing of it is to be sent any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.claim(), WITHDRAWN | ENDED)
    }

    /// What became of the body that the transport had is known.
    pub(super) fn end(&self) {
        self.claim.store(ENDED, Ordering::Release);
    }

    /// Whether the transport has the body, and nobody knows yet what became of it.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.claim() == TAKEN
    }

    /// Whether somebody settles it who will know.
    pub(super) fn is_followed(&self) -> bool {
        self.is_in_doubt() && self.held.load(Ordering::Acquire)
    }
}
