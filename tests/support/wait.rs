//! Waits for another process or task.
#![allow(dead_code, reason = "no test uses all of it")]

use std::{thread, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// Longer than any wait of a test that passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(2);

/// Waits for a condition that another process brings about.
#[track_caller]
pub(crate) fn wait_until(mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < PATIENCE, "it did not become true");
        thread::sleep(POLL);
    }
}

/// Waits for a condition that another task or process brings about.
pub(crate) async fn until(mut is_true: impl AsyncFnMut() -> bool) {
    soon(async {
        while !is_true().await {
            sleep(POLL).await;
        }
    })
    .await;
}

/// Waits for a future that would otherwise hang the test.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it did not end")
}
