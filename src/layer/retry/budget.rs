//! [`Budget`], which limits the retries of all clones of a client.

use std::sync::Mutex;

use crate::lock;

/// A budget of ten retries. A retry takes one, and a success returns a tenth of one. It keeps retries from
/// multiplying the load on an overloaded API.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// The tenths of a retry that were taken and not returned.
    taken: Mutex<u32>,
}

const FULL: u32 = 100;
const COST: u32 = 10;

impl Budget {
    /// Takes a retry. Returns false if none is left.
    pub(super) fn withdraw(&self) -> bool {
        let mut taken = lock(&self.taken);
        let is_left = *taken + COST <= FULL;
        *taken += if is_left { COST } else { 0 };
        is_left
    }

    /// Returns a tenth of a retry, after a success.
    pub(super) fn deposit(&self) {
        let mut taken = lock(&self.taken);
        *taken = taken.saturating_sub(1);
    }

    /// Returns how many retries are left.
    pub(super) fn left(&self) -> f64 {
        f64::from(FULL - *lock(&self.taken)) / f64::from(COST)
    }
}
