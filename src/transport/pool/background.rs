//! [`Background`], where a connect goes on that nobody waits for any more.

use hyper::rt::Executor;

use crate::runtime;

/// Where a connect goes on whose call got a connection that was given back: it is kept for the next that
/// waits. If it were given up, calls that take turns, or are often cancelled, would begin to connect each
/// time and seldom get to the end of it. Outside of a runtime it is.
#[derive(Clone, Copy)]
pub(super) struct Background;

impl<F> Executor<F> for Background
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, connecting: F) {
        if let Ok(runtime) = runtime::current() {
            runtime.spawn(connecting);
        }
    }
}
