//! An attempt below, and the span that lasts as long.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tracing::Span;

use super::record;
use crate::{
    BoxError, Error,
    layer::decode_error,
    telemetry::{AttemptMeter, ErrorType, OK, interrupted, outcome},
};

pin_project! {
    /// An attempt below, and the span that lasts as long.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        watch: Watch,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.watch.open {
                // What is let go is let go inside the span, as all of the attempt is.
                let span = &this.watch.span;
                span.in_scope(|| this.inner.set(None));
                this.watch.interrupted();
            }
        }
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, watch: Watch) -> Self {
        let inner = Some(inner);
        Self { inner, watch }
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
        let result = {
            let _entered = this.watch.span.enter();
            let inner = this.inner.as_mut().as_pin_mut();
            let result = ready!(inner.expect("polled after it was ready").poll(cx));
            // What is left of the attempt, as after a time-out, belongs to its span, too.
            this.inner.set(None);
            result.map_err(Into::into)
        };
        match &result {
            Ok(response) => this.watch.answered(response.status(), response.headers()),
            Err(error) => this.watch.failed(error.downcast_ref()),
        }
        Poll::Ready(result)
    }
}

/// Sees an attempt end, once.
#[derive(Debug)]
pub(super) struct Watch {
    span: Span,
    meter: AttemptMeter,
    deadline: Option<Instant>,
    open: bool,
}

impl Watch {
    /// `deadline` is the call's.
    pub(super) fn new(span: Span, meter: AttemptMeter, deadline: Option<Instant>) -> Self {
        Self {
            span,
            meter,
            deadline,
            open: true,
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        let refused = status.is_client_error() || status.is_server_error();
        let error_type = refused.then_some(ErrorType::Status(status));
        let outcome = if refused {
            outcome(decode_error::outcome(status))
        } else {
            OK
        };
        self.end(|span| {
            span.record("http.response.status_code", status.as_u16());
            span.record("clerk.trace_id", decode_error::trace_id(headers));
            span.record("clerk.outcome", outcome);
            if let Some(error_type) = error_type {
                record::error_type(span, error_type);
            }
        });
        self.meter.end(outcome, Some(status), error_type);
    }

    fn failed(&mut self, error: Option<&Error>) {
        self.end(|span| record::failure(span, error));
        let error_type = ErrorType::of(error);
        let outcome = error.map_or("unknown", |error| outcome(error.outcome()));
        let status = error.and_then(Error::status);
        self.meter.end(outcome, status, Some(error_type));
    }

    fn interrupted(&mut self) {
        let why = interrupted(self.deadline);
        self.end(|span| record::interruption(span, why, None));
        self.meter.end("cut", None, Some(why));
    }

    /// Closes the span here and now, for whoever is above may keep an ended future for long.
    fn end(&mut self, record: impl FnOnce(&Span)) {
        self.open = false;
        let span = std::mem::replace(&mut self.span, Span::none());
        if !span.is_none() {
            record(&span);
        }
    }
}
