//! [`DrainReport`], what draining found.

use super::SettleCounts;

/// What was settled, and what was not, when draining ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    pub(super) counts: SettleCounts,
    pub(super) cut_short: usize,
    pub(super) in_flight: usize,
}

impl DrainReport {
    /// How many credentials met which end, since the client was built.
    #[must_use]
    pub fn counts(&self) -> SettleCounts {
        self.counts
    }

    /// How many lost creates and revokes of theirs were given up because time ran out. Those that may have
    /// left a token were reported, and are in the [counts](Self::counts), unless their runtime stands
    /// still: then they are once it goes on, or ends.
    #[must_use]
    pub fn cut_short(&self) -> usize {
        self.cut_short
    }

    /// How many creates were under way that somebody still waits for. They go on. A call that pauses before
    /// its next attempt is none of them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether nothing was left to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cut_short == 0 && self.in_flight == 0
    }
}
