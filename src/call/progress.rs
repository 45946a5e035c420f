//! [`Progress`], what became of the attempts of one call so far.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::Outcome;

/// What became of the attempts of one call so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(super) attempts: AtomicU32,
    pub(super) in_doubt: AtomicU32,
    worst: AtomicU8,
}

impl Progress {
    /// How many attempts were begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Acquire)
    }

    /// The greatest outcome of all attempts, one that was sent and has not ended being `Unknown`.
    pub(crate) fn outcome(&self) -> Outcome {
        let worst = self.settled_outcome();
        match self.in_doubt.load(Ordering::Acquire) {
            0 => worst,
            _ => worst.max(Outcome::Unknown),
        }
    }

    /// Notes what is known to have become of the call.
    pub(crate) fn note(&self, outcome: Outcome) {
        self.worst.fetch_max(outcome.code(), Ordering::AcqRel);
    }

    /// The greatest outcome of the attempts that have ended.
    pub(crate) fn settled_outcome(&self) -> Outcome {
        Outcome::from_code(self.worst.load(Ordering::Acquire))
    }
}
