//! A service that checks tower's contract.

use std::{
    fmt::Debug,
    future::{Ready, ready},
    task::{Context, Poll},
};

use tower::{Service, ServiceExt};

/// Calls a service several times, and each time also a clone of the ready instance.
pub(crate) async fn check<S, R>(mut service: S, request: impl Fn() -> R)
where
    S: Service<R, Error: Debug> + Clone,
{
    for _ in 0..3 {
        service.ready().await.unwrap();
        let mut clone = service.clone();
        let result = service.call(request()).await;
        assert!(result.is_ok(), "{:?}", result.err());
        clone.ready().await.unwrap();
        let result = clone.call(request()).await;
        assert!(result.is_ok(), "{:?}", result.err());
    }
}

/// Responds with the result of `respond`. An instance is ready at the second poll and panics if it is called
/// earlier. A clone starts unready.
pub(crate) struct Probe<F> {
    respond: F,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Unready,
    Polled,
    Ready,
}

impl<F> Probe<F> {
    pub(crate) fn new(respond: F) -> Self {
        let state = State::Unready;
        Self { respond, state }
    }
}

impl<F: Clone> Clone for Probe<F> {
    fn clone(&self) -> Self {
        Self::new(self.respond.clone())
    }
}

impl<R, T, E, F: FnMut(R) -> Result<T, E>> Service<R> for Probe<F> {
    type Response = T;
    type Error = E;
    type Future = Ready<Result<T, E>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if self.state == State::Unready {
            self.state = State::Polled;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.state = State::Ready;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        assert!(
            self.state == State::Ready,
            "an instance was called before it was ready"
        );
        self.state = State::Unready;
        ready((self.respond)(request))
    }
}
