//! An attempt below, and the span that lasts as long.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tracing::Span;

use super::record;
use crate::{
    BoxError, Error, OperationKind,
    layer::decode_error,
    response_head::trace_id,
    telemetry::{AttemptMeter, ErrorType, OK, interrupted, outcome},
};

pin_project! {
    /// An attempt below, and the span that lasts as long.
    pub struct ResponseFuture<F> {
        #[pin]
        pub(super) inner: Option<F>,
        // A word, and nothing in it where nobody looks, and once the attempt has ended.
        pub(super) watch: Option<Box<Watch>>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(watch) = this.watch.take() {
                // What is let go is let go inside the span, as all of the attempt is.
                watch.span.in_scope(|| this.inner.set(None));
                watch.interrupted();
            }
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let inner = inner.expect("polled after it was ready");
        let Some(watch) = this.watch else {
            return inner.poll(cx).map_err(Into::into);
        };
        let result = {
            let _entered = watch.span.enter();
            let result = ready!(inner.poll(cx)).map_err(Into::into);
            // What is left of the attempt, as after a time-out, belongs to its span, too.
            this.inner.set(None);
            result
        };
        // The span is closed here and now, for whoever is above may keep an ended future for long.
        if let Some(watch) = this.watch.take() {
            match &result {
                Ok(response) => watch.answered(response.status(), response.headers()),
                Err(error) => watch.failed(error.downcast_ref()),
            }
        }
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of what is below, which may hold an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

/// Sees an attempt end, once. To drop it is to close the span.
#[derive(Debug)]
pub(super) struct Watch {
    span: Span,
    kind: OperationKind,
    meter: AttemptMeter,
    deadline: Option<Instant>,
}

impl Watch {
    /// `deadline` is the call's.
    pub(super) fn new(
        span: Span,
        kind: OperationKind,
        meter: AttemptMeter,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            span,
            kind,
            meter,
            deadline,
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    fn answered(self, status: StatusCode, headers: &HeaderMap) {
        let refused = status.is_client_error() || status.is_server_error();
        let error_type = refused.then_some(ErrorType::Status(status));
        let outcome = if refused {
            outcome(decode_error::outcome_of_status(status))
        } else {
            OK
        };
        self.record(|span| {
            span.record("http.response.status_code", i64::from(status.as_u16()));
            span.record("clerk.trace_id", trace_id(headers));
            span.record("clerk.outcome", outcome);
            if let Some(error_type) = error_type {
                record::error_type(span, error_type);
            }
        });
        self.meter.end(outcome, Some(status), error_type);
    }

    fn failed(self, error: Option<&Error>) {
        self.record(|span| record::failure(span, self.kind, error));
        let error_type = ErrorType::of(error);
        let outcome = error.map_or("unknown", |error| outcome(error.outcome()));
        let status = error.and_then(Error::status);
        self.meter.end(outcome, status, Some(error_type));
    }

    fn interrupted(self) {
        let why = interrupted(self.deadline);
        self.record(|span| record::interruption(span, why, None));
        self.meter.end("cut", None, Some(why));
    }

    fn record(&self, record: impl FnOnce(&Span)) {
        if !self.span.is_none() {
            record(&self.span);
        }
    }
}
