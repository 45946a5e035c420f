//! What is below, and the time it has.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::{Scope, TimedOut};
use crate::{BoxError, runtime};

pin_project! {
    /// What is below, and the time it has.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        // Boxed, and made only where something is waited for: all futures above are as large as this.
        timer: Option<Pin<Box<Sleep>>>,
        deadline: Option<Instant>,
        limit: Duration,
        scope: Scope,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(
        inner: Option<F>,
        deadline: Option<Instant>,
        limit: Duration,
        scope: Scope,
    ) -> Self {
        Self {
            inner,
            timer: None,
            deadline,
            limit,
            scope,
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let timed_out = TimedOut {
            scope: *this.scope,
            limit: *this.limit,
        };
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Err(timed_out.into()));
        };
        if let Poll::Ready(result) = inner.poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        if this.timer.is_none() {
            let deadline = this
                .deadline
                .or_else(|| Instant::now().checked_add(*this.limit));
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            *this.timer = Some(Box::pin(runtime::sleep_until(deadline)?));
        }
        match this.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(timed_out.into())),
            _ => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of what is below, which may hold an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("deadline", &self.deadline)
            .field("limit", &self.limit)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
