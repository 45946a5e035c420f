//! [`RateLimitStore`], which counts the units of rate limits.

use std::{fmt, time::Duration};

use crate::StoreUnavailable;

/// Counts the units of rate limits: [in memory](super::MemoryRateLimitStore), or shared by several
/// processes.
pub trait RateLimitStore: Send + Sync + 'static {
    /// The units that were taken. Dropping it keeps them.
    type Receipt: Send + 'static;

    /// Takes one unit of each cell, or none at all. The keys of the cells are distinct.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached. The create is then refused with 503.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may keep units that were taken meanwhile.
    fn take(
        &self,
        cells: &[Cell<'_>],
    ) -> impl Future<Output = Result<Taken<Self::Receipt>, StoreUnavailable>> + Send;

    /// Gives back exactly what was taken, as if it never had been. It may run inside `Drop` and must not
    /// block.
    fn give_back(&self, receipt: Self::Receipt);
}

/// The units of one limit for one key.
///
/// `Debug` does not show the key, because it names a user.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cell<'a> {
    /// Which units are counted together.
    pub key: &'a str,
    /// The time in which one unit is refilled.
    pub interval: Duration,
    /// The number of units of a full cell.
    pub burst: u32,
}

impl<'a> Cell<'a> {
    /// Makes a cell that holds `burst` units and refills one in each `interval`.
    pub fn new(key: &'a str, interval: Duration, burst: u32) -> Self {
        Self {
            key,
            interval,
            burst,
        }
    }
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell")
            .field("interval", &self.interval)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

/// Whether units were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken<R> {
    /// One unit of each cell was taken.
    Yes(R),
    /// None was taken.
    No {
        /// The index of the cell that has to be waited for the longest.
        rule: usize,
        /// The time until that cell has a unit.
        retry_after: Duration,
    },
}
