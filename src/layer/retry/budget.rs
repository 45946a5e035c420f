//! The budget of retries, shared by all clones of a client.

use crate::sync::atomic::{AtomicU32, Ordering};

/// A retry costs one token, a success earns a tenth of one. With nothing left, failures come
/// through as they are: a struggling API is not met with twice the load.
#[derive(Debug)]
pub(super) struct Budget {
    tenths: AtomicU32,
}

const FULL: u32 = 100;
const COST: u32 = 10;
const EARNED: u32 = 1;

impl Default for Budget {
    fn default() -> Self {
        Self {
            tenths: AtomicU32::new(FULL),
        }
    }
}

impl Budget {
    /// Takes a token. False when there is none.
    pub(super) fn withdraw(&self) -> bool {
        let take = |tenths: u32| tenths.checked_sub(COST);
        self.tenths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// How many retries it allows.
    pub(super) fn left(&self) -> f64 {
        f64::from(self.tenths.load(Ordering::Relaxed)) / f64::from(COST)
    }

    /// Notes a success. A full budget, by far the commonest, is only read.
    pub(super) fn deposit(&self) {
        if self.tenths.load(Ordering::Relaxed) < FULL {
            let add = |tenths: u32| (tenths < FULL).then_some(tenths + EARNED);
            let _ = self
                .tenths
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_retries_then_one_for_every_ten_successes() {
        let budget = Budget::default();
        assert_eq!(budget.left(), 10.0);
        assert_eq!((0..20).filter(|_| budget.withdraw()).count(), 10);
        for _ in 0..9 {
            budget.deposit();
            assert!(!budget.withdraw());
        }
        budget.deposit();
        assert!(budget.withdraw());
    }

    #[test]
    fn it_never_holds_more_than_ten() {
        let budget = Budget::default();
        (0..100).for_each(|_| budget.deposit());
        assert_eq!((0..20).filter(|_| budget.withdraw()).count(), 10);
    }
}

/// What holds in every order that threads can act in.
#[cfg(all(test, clerk_loom))]
mod in_every_order {
    use std::sync::Arc;

    use loom::thread;

    use super::*;

    #[test]
    fn no_token_is_spent_twice() {
        loom::model(|| {
            let budget = Arc::new(Budget {
                tenths: AtomicU32::new(2 * COST - EARNED),
            });
            let others = Arc::clone(&budget);
            let others = thread::spawn(move || others.withdraw());
            budget.deposit();
            let own = budget.withdraw();
            let others = others.join().unwrap();
            assert!(own || others);
            let spent = COST * (u32::from(own) + u32::from(others));
            let left = 2 * COST - spent;
            assert_eq!(budget.left(), f64::from(left) / f64::from(COST));
        });
    }
}
