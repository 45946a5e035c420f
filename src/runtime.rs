//! The tokio runtime that a call runs on, asked for in a way that ends in no panic.

use std::{cell::Cell, panic, sync::mpsc, thread, time::Duration};

use tokio::{
    runtime::{Handle, Id},
    sync::oneshot,
    time::{Instant, Sleep},
};

/// Why a call cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRuntime {
    #[error("it must run on a tokio runtime, and there is none here")]
    Missing,
    #[error("the tokio runtime has no timers; build it with `enable_time` or `enable_all`")]
    WithoutTimers,
}

thread_local! {
    /// The runtime of this thread that was last found to have timers.
    static WITH_TIMERS: Cell<Option<Id>> = const { Cell::new(None) };
}

/// The runtime of the caller, if there is one that has timers.
pub(crate) fn current() -> Result<Handle, NoRuntime> {
    let handle = Handle::try_current().map_err(|_| NoRuntime::Missing)?;
    let id = handle.id();
    let known = WITH_TIMERS.try_with(Cell::get).ok().flatten() == Some(id);
    if !known {
        // tokio tells only by a panic, and before anything is sent is the time to learn it.
        panic::catch_unwind(|| drop(tokio::time::sleep_until(Instant::now())))
            .map_err(|_| NoRuntime::WithoutTimers)?;
        let _ = WITH_TIMERS.try_with(|known| known.set(Some(id)));
    }
    Ok(handle)
}

/// A timer, if the runtime of the caller has timers.
pub(crate) fn sleep_until(at: Instant) -> Result<Sleep, NoRuntime> {
    current().map(|_| tokio::time::sleep_until(at))
}

/// A timer where the caller has no runtime, or one without timers: a thread that waits, no longer than
/// this is waited for.
pub(crate) async fn sleep_on_a_thread(time: Duration) {
    let (ended, end) = oneshot::channel::<()>();
    let (_waiting, given_up) = mpsc::channel::<()>();
    let thread = thread::Builder::new().spawn(move || {
        let _ = given_up.recv_timeout(time);
        drop(ended);
    });
    if thread.is_ok() {
        let _ = end.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_an_error_and_no_panic() {
        assert_eq!(current().unwrap_err(), NoRuntime::Missing);
        let build = |timers: bool| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            if timers {
                builder.enable_time();
            }
            builder.build().unwrap()
        };
        let (with, without) = (build(true), build(false));
        for _ in 0..2 {
            assert!(with.block_on(async { current() }).is_ok());
            let found = without.block_on(async { current().map(drop) });
            assert_eq!(found, Err(NoRuntime::WithoutTimers));
        }
    }
}
