//! What a kept connection is found to be, before it is used.

use std::time::Duration;

/// After how long without use a connection may have ended without anybody having noticed.
///
/// Hyper hears of an end by its runtime, which may have stood still in between: one that only runs
/// within `block_on`, or in a process that was suspended. While calls follow one another it is awake.
pub(super) const RESTED: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept<T> {
    /// It is used.
    Open(T),
    /// One has to [`look`] before it is used.
    Rested,
    /// There is none, or none that can be used.
    Ended,
}

/// Has the runtime hear what the system knows of its connections.
///
/// Once is enough: a runtime of one thread wakes who yields only after it asked the system, and by then
/// it woke the task of a connection that ended. That task sees the end before it writes the request that
/// it is given meanwhile, since hyper reads first, and gives it back unwritten. A runtime of several
/// threads has one of them wait for the system at any time that it has nothing else to do.
pub(super) async fn look() {
    tokio::task::yield_now().await;
}
