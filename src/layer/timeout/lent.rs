//! A timer lent to those inside: of time-outs that are polled one inside the other by the same task,
//! only the outermost has a timer of its own.

use std::{
    cell::Cell,
    task::{RawWakerVTable, Waker},
};

use tokio::time::Instant;

thread_local! {
    /// The timer of the time-out that is being polled on this thread.
    static LENT: Cell<Option<Lent>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Lent {
    task: Task,
    rung: Option<Instant>,
    wanted: Option<Instant>,
}

/// Whom a waker wakes.
type Task = (*const (), *const RawWakerVTable);

fn task(waker: &Waker) -> Task {
    (waker.data(), waker.vtable())
}

/// Lends a timer to what is polled meanwhile. Dropped, it takes the timer back.
pub(super) struct Lending {
    outside: Option<Lent>,
}

impl Lending {
    /// Lends a timer that wakes the task of `waker`, and that rang at `rung` last.
    pub(super) fn begin(waker: &Waker, rung: Option<Instant>) -> Self {
        let outside = LENT.replace(Some(Lent {
            task: task(waker),
            rung,
            wanted: None,
        }));
        Self { outside }
    }

    /// When those inside want it to ring.
    pub(super) fn end(self) -> Option<Instant> {
        LENT.get().and_then(|lent| lent.wanted)
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        LENT.set(self.outside);
    }
}

/// A timer of somebody outside, who polls for the same task, and so polls again when it rings.
#[derive(Clone, Copy)]
pub(super) struct Borrowed {
    rung: Option<Instant>,
}

impl Borrowed {
    pub(super) fn by(waker: &Waker) -> Option<Self> {
        let lent = LENT.get()?;
        (lent.task == task(waker)).then_some(Self { rung: lent.rung })
    }

    /// When it rang last.
    pub(super) fn rung(self) -> Option<Instant> {
        self.rung
    }

    /// It rings at `at`, or before.
    pub(super) fn ring_at(self, at: Instant) {
        if let Some(mut lent) = LENT.get() {
            lent.wanted = earliest(lent.wanted, Some(at));
            LENT.set(Some(lent));
        }
    }
}

/// The earlier one, if there is any.
pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
