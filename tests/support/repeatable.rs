//! Runs of random programs that can be repeated.

/// Runs a future on a paused clock. Backoffs use the random generator of the thread, which a seed makes repeatable.
pub(crate) fn repeatable<F: Future>(future: F) -> F::Output {
    fastrand::seed(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}
