//! [`Background`], where a connect goes on that nobody waits for any more.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hyper::rt::Executor;

use crate::runtime;

/// How many connects to a host go on at once that nobody waits for.
const MOST: usize = 32;

/// Where a connect goes on whose call got a connection that was given back, for the next that waits.
/// Without it, calls that take turns, or are often cancelled, would begin to connect each time and seldom
/// get to the end of it; without a limit, each turn that is taken while connecting hangs would begin one
/// more.
#[derive(Clone, Default)]
pub(super) struct Background {
    busy: Arc<AtomicUsize>,
}

impl<F> Executor<F> for Background
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, connecting: F) {
        let Ok(runtime) = runtime::current() else {
            return;
        };
        let before = self.busy.fetch_add(1, Ordering::Relaxed);
        let busy = Busy(Arc::clone(&self.busy));
        if before < MOST {
            runtime.spawn(async move {
                let _busy = busy;
                connecting.await;
            });
        }
    }
}

struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
