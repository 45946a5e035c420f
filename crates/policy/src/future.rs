//! The futures that the layers share.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

/// The future of a layer that waits before it calls the service below.
pub struct ResponseFuture<T, E> {
    inner: Pin<Box<dyn Future<Output = Result<T, E>> + Send>>,
}

impl<T, E> ResponseFuture<T, E> {
    pub(crate) fn new(inner: impl Future<Output = Result<T, E>> + Send + 'static) -> Self {
        Self {
            inner: Box::pin(inner),
        }
    }
}

impl<T, E> Future for ResponseFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<T, E> fmt::Debug for ResponseFuture<T, E> {
    /// Leaves out the inner future, because it may contain a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// Polls the inner future, or resolves to the error of a refusal.
    pub struct RefusableFuture<F, E> {
        #[pin]
        inner: Option<F>,
        refusal: Option<E>,
    }
}

impl<F, E> RefusableFuture<F, E> {
    pub(crate) fn called(inner: F) -> Self {
        let (inner, refusal) = (Some(inner), None);
        Self { inner, refusal }
    }

    pub(crate) fn refused(refusal: E) -> Self {
        let (inner, refusal) = (None, Some(refusal));
        Self { inner, refusal }
    }
}

impl<F, T, E> Future for RefusableFuture<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(cx),
            None => Poll::Ready(Err(this.refusal.take().expect("polled after it was ready"))),
        }
    }
}

impl<F, E> fmt::Debug for RefusableFuture<F, E> {
    /// Leaves out the inner future, because it may contain a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusableFuture")
            .field("is_refused", &self.refusal.is_some())
            .finish_non_exhaustive()
    }
}

/// Returns the instance that was polled ready, and leaves a clone in its place.
pub(crate) fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    std::mem::replace(inner, clone)
}

/// Waits until `service` is ready.
pub(crate) async fn readied<S: Service<R>, R>(service: &mut S) -> Result<(), S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await
}
