//! A call below, and the span that lasts as long.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tracing::Span;

use crate::{
    ActorToken, Error, OperationKind,
    call::CallWatch,
    layer::trace::record,
    telemetry::{CallMeter, ErrorType, OK, interrupted, outcome},
};

pin_project! {
    /// A call below, and the span that lasts as long.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        pub(super) inner: Option<F>,
        // A word, and nothing in it where nobody looks, and once the call has ended.
        pub(super) watch: Option<Box<Watch>>,
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

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<ActorToken, Error>>,
{
    type Output = Result<ActorToken, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let inner = inner.expect("polled after it was ready");
        let Some(watch) = this.watch else {
            return inner.poll(cx);
        };
        let result = {
            let _entered = watch.span.enter();
            let result = ready!(inner.poll(cx));
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
    kind: OperationKind,
    meter: CallMeter,
    call: CallWatch,
}

impl Watch {
    pub(super) fn new(span: Span, kind: OperationKind, meter: CallMeter, call: CallWatch) -> Self {
        Self {
            span,
            kind,
            meter,
            call,
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    fn ended(self, result: &Result<ActorToken, Error>) {
        let (outcome, error_type) = match result {
            Ok(_) => (OK, None),
            Err(error) => (outcome(error.outcome()), Some(ErrorType::of(Some(error)))),
        };
        self.meter.end(outcome, error_type);
        if self.span.is_none() {
            return;
        }
        self.record_attempts(self.call.attempts());
        match result {
            Ok(token) => record::token(&self.span, self.kind, token),
            Err(error) => record::failure(&self.span, self.kind, Some(error)),
        }
    }

    fn interrupted(self) {
        let why = interrupted(None);
        let known = self.call.outcome();
        self.meter.end(outcome(known), Some(why));
        if !self.span.is_none() {
            self.record_attempts(self.call.attempts());
            record::interruption(&self.span, why, Some(known));
        }
    }

    fn record_attempts(&self, attempts: u32) {
        self.span.record("clerk.attempts", i64::from(attempts));
    }
}
