//! [`Budget`], which limits the retries of all clones of a client.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A budget of ten retries. A retry takes one, and a success returns a tenth of one. It keeps retries from
/// multiplying the load on an overloaded API.
#[derive(Debug)]
pub(super) struct Budget {
    tenths: Mutex<u32>,
}

const FULL: u32 = 100;
const COST: u32 = 10;

impl Default for Budget {
    fn default() -> Self {
        Self {
            tenths: Mutex::new(FULL),
        }
    }
}

impl Budget {
    /// Takes a retry. Returns false if none is left.
    pub(super) fn withdraw(&self) -> bool {
        let mut tenths = self.lock();
        let left = tenths.checked_sub(COST);
        *tenths = left.unwrap_or(*tenths);
        left.is_some()
    }

    /// Returns a tenth of a retry, after a success.
    pub(super) fn deposit(&self) {
        let mut tenths = self.lock();
        *tenths = (*tenths + 1).min(FULL);
    }

    /// Returns how many retries are left.
    pub(super) fn left(&self) -> f64 {
        f64::from(*self.lock()) / f64::from(COST)
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        self.tenths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
