//! What is below, and the time it has.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::{
    Scope, TimedOut,
    lent::{Borrowed, Lending, earliest},
};
use crate::{BoxError, runtime};

pin_project! {
    /// What is below, and the time it has.
    pub struct ResponseFuture<F> {
        #[pin]
        pub(super) inner: Option<F>,
        // When its time is over, if ever; unset until that begins.
        deadline: Option<Option<Instant>>,
        // Boxed, and made only where something is waited for: all futures above are as large as this.
        timer: Option<Pin<Box<Sleep>>>,
        limit: Duration,
        scope: Scope,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(
        inner: Option<F>,
        deadline: Option<Option<Instant>>,
        limit: Duration,
        scope: Scope,
    ) -> Self {
        Self {
            inner,
            deadline,
            timer: None,
            limit,
            scope,
        }
    }

    #[cfg(test)]
    pub(super) fn has_timer(&self) -> bool {
        self.timer.is_some()
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let limit = *this.limit;
        let timed_out = TimedOut {
            scope: *this.scope,
            limit,
        };
        // Who has a timer keeps it: who lends one now need not be there the next time.
        let borrowed = match this.timer {
            Some(_) => None,
            None => Borrowed::by(cx.waker()),
        };
        let mut rung = borrowed.and_then(Borrowed::rung);
        loop {
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                return Poll::Ready(Err(timed_out.into()));
            };
            // Those inside of a borrower borrow from the same.
            let lending = borrowed.is_none().then(|| Lending::begin(cx.waker(), rung));
            let polled = inner.poll(cx);
            let wanted = lending.and_then(Lending::end);
            if polled.is_ready() {
                if wanted.is_some() {
                    // Somebody who was inside still waits, and has to look for another timer.
                    cx.waker().wake_by_ref();
                }
                return polled.map_err(Into::into);
            }
            let deadline = *this
                .deadline
                .get_or_insert_with(|| Instant::now().checked_add(limit));
            if deadline.is_some_and(|deadline| rung.is_some_and(|rung| deadline <= rung)) {
                return Poll::Ready(Err(timed_out.into()));
            }
            let Some(next) = earliest(deadline, wanted) else {
                return Poll::Pending;
            };
            if let Some(timer) = borrowed {
                timer.ring_at(next);
                return Poll::Pending;
            }
            let timer = match this.timer {
                Some(timer) => timer,
                None => this.timer.insert(Box::pin(runtime::sleep_until(next)?)),
            };
            if next < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(next);
            }
            ready!(timer.as_mut().poll(cx));
            rung = Some(timer.deadline());
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
