//! A call below, and the span that lasts as long.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tracing::Span;

use crate::{
    ActorToken, Error, Outcome,
    call::Progress,
    layer::trace::record,
    telemetry::{CallMeter, ErrorType, OK, interrupted, outcome},
};

pin_project! {
    /// A call below, and the span that lasts as long.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        watch: Option<Watch>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(watch) = this.watch.take() {
                // What became of its attempts is known once they are let go.
                watch.span.in_scope(|| this.inner.set(None));
                watch.interrupted();
            }
        }
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, watch: Watch) -> Self {
        let (inner, watch) = (Some(inner), Some(watch));
        Self { inner, watch }
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<ActorToken, Error>>,
{
    type Output = Result<ActorToken, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = {
            let _entered = this.watch.as_ref().map(|watch| watch.span.enter());
            let inner = this.inner.as_mut().as_pin_mut();
            let result = ready!(inner.expect("polled after it was ready").poll(cx));
            this.inner.set(None);
            result
        };
        if let Some(watch) = this.watch.take() {
            watch.ended(&result);
        }
        Poll::Ready(result)
    }
}

/// Sees a call end, once. To drop it is to close the span.
#[derive(Debug)]
pub(super) struct Watch {
    span: Span,
    meter: CallMeter,
    progress: Option<Arc<Progress>>,
}

impl Watch {
    pub(super) fn new(span: Span, meter: CallMeter, progress: Option<Arc<Progress>>) -> Self {
        Self {
            span,
            meter,
            progress,
        }
    }

    fn ended(self, result: &Result<ActorToken, Error>) {
        let (outcome, error_type) = match result {
            Ok(_) => (OK, None),
            Err(error) => (outcome(error.outcome()), Some(ErrorType::of(Some(error)))),
        };
        self.meter.end(outcome, error_type);
        self.record_attempts();
        if self.span.is_none() {
            return;
        }
        match result {
            Ok(token) => record::token(&self.span, token),
            Err(error) => record::failure(&self.span, Some(error)),
        }
    }

    fn interrupted(self) {
        let why = interrupted(None);
        let known = self.progress.as_ref().map(|progress| progress.outcome());
        self.meter
            .end(outcome(known.unwrap_or(Outcome::Unknown)), Some(why));
        self.record_attempts();
        if !self.span.is_none() {
            record::interruption(&self.span, why, known);
        }
    }

    fn record_attempts(&self) {
        if let (false, Some(progress)) = (self.span.is_none(), &self.progress) {
            self.span.record("clerk.attempts", progress.attempts());
        }
    }
}
