//! The budget of retries, shared by all clones of a client.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A retry costs one token, a success earns a tenth of one. Without a token left, a failure is not
/// retried, so that a struggling API does not get twice the load.
#[derive(Debug)]
pub(super) struct Budget {
    tenths: Mutex<u32>,
}

const FULL: u32 = 100;
const COST: u32 = 10;
const EARNED: u32 = 1;

impl Default for Budget {
    fn default() -> Self {
        Self {
            tenths: Mutex::new(FULL),
        }
    }
}

impl Budget {
    /// Takes a token. Returns false if none is left.
    pub(super) fn withdraw(&self) -> bool {
        let mut tenths = self.lock();
        match tenths.checked_sub(COST) {
            Some(left) => *tenths = left,
            None => return false,
        }
        true
    }

    /// Notes a success.
    pub(super) fn deposit(&self) {
        let mut tenths = self.lock();
        *tenths = (*tenths + EARNED).min(FULL);
    }

    /// Returns how many retries it allows.
    pub(super) fn left(&self) -> f64 {
        f64::from(*self.lock()) / f64::from(COST)
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        self.tenths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
