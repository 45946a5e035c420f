//! [`Background`], where a connect goes on that nobody waits for any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hyper::rt::Executor;

use crate::runtime;

/// Where a connect goes on whose call got a connection that was given back, for the next that waits. Of
/// each host there is one at a time, and others are given up. Without any, calls that take turns would
/// begin to connect each time and never get to the end of it; without a limit, a call that takes another
/// turn while that goes on would each time begin one more.
#[derive(Clone, Default)]
pub(super) struct Background {
    busy: Arc<AtomicBool>,
}

impl<F> Executor<F> for Background
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, connecting: F) {
        let Ok(runtime) = runtime::current() else {
            return;
        };
        if self.busy.swap(true, Ordering::Relaxed) {
            return;
        }
        let busy = Busy(Arc::clone(&self.busy));
        runtime.spawn(async move {
            let _busy = busy;
            connecting.await;
        });
    }
}

struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
