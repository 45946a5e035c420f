//! The tokio runtime that a call runs on, asked for in a way that ends in no panic.

#[cfg(feature = "transport")]
use std::{any::Any, future::poll_fn, panic::AssertUnwindSafe, pin::pin, task::Poll};
use std::{cell::Cell, panic};

use tokio::{
    runtime::{Handle, Id},
    time::Instant,
};

/// Why a call cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRuntime {
    #[error("it must run on a tokio runtime, and there is none here")]
    Missing,
    #[error("the tokio runtime has no timers; build it with `enable_time` or `enable_all`")]
    WithoutTimers,
    #[cfg(feature = "transport")]
    #[error("the tokio runtime has no I/O; build it with `enable_io` or `enable_all`")]
    WithoutIo,
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

/// Runs `connecting`, which needs I/O of the runtime. tokio tells only by a panic that there is none.
#[cfg(feature = "transport")]
pub(crate) async fn with_io<F: Future>(connecting: F) -> Result<F::Output, NoRuntime> {
    let mut connecting = pin!(connecting);
    poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| connecting.as_mut().poll(cx));
        match panic::catch_unwind(poll) {
            Ok(polled) => polled.map(Ok),
            Err(panic) if speaks_of_io(&*panic) => Poll::Ready(Err(NoRuntime::WithoutIo)),
            Err(panic) => panic::resume_unwind(panic),
        }
    })
    .await
}

#[cfg(feature = "transport")]
fn speaks_of_io(panic: &(dyn Any + Send)) -> bool {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.is_some_and(|text| text.contains("IO is disabled"))
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
