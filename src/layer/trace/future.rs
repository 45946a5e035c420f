//! The future of [`Trace`](super::Trace) and [`TraceCall`](crate::layer::TraceCall), and its guard.

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tracing::{Instrument, Span, instrument::Instrumented};

use super::SpanContext;
use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, BoxError, Error, OperationKind, Outcome,
    call::CallWatch,
    response_head::trace_id,
    telemetry::{METERED, Meter, OK, error_type, interrupted},
};

pin_project! {
    /// Response future of [`Trace`](super::Trace) and [`TraceCall`](crate::layer::TraceCall).
    pub struct ResponseFuture<F> {
        // Dropped before the guard, which records the outcome of ended attempts.
        #[pin]
        inner: Option<Instrumented<F>>,
        guard: Option<Box<SpanGuard>>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, span: Span, guard: Option<Box<SpanGuard>>) -> Self {
        let inner = Some(inner.instrument(span));
        Self { inner, guard }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: Traced,
    E: Into<T::Error>,
{
    type Output = Result<T, T::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let inner = inner.expect("polled after it was ready");
        if this.guard.is_none() {
            return inner.poll(cx).map_err(Into::into);
        }
        let result = ready!(inner.poll(cx)).map_err(Into::into);
        // Ends the span now, because a caller may keep the future.
        this.inner.set(None);
        if let Some(guard) = this.guard.take() {
            guard.end(&result);
        }
        Poll::Ready(result)
    }
}

crate::text::opaque_debug!(ResponseFuture<F>);

/// The response of a call or of an attempt.
pub trait Traced {
    type Error;

    fn record(&self, guard: &SpanGuard);

    fn typed(error: &Self::Error) -> Option<&Error>;
}

impl Traced for ActorToken {
    type Error = Error;

    fn record(&self, guard: &SpanGuard) {
        guard.record_id(self.id());
        guard.span.record("clerk.outcome", OK);
        guard.meter.end(OK, None, None);
    }

    fn typed(error: &Error) -> Option<&Error> {
        Some(error)
    }
}

impl<B> Traced for Response<B> {
    type Error = BoxError;

    /// Without a [`DecodeErrorLayer`](crate::layer::DecodeErrorLayer) below, a response may be a failure.
    fn record(&self, guard: &SpanGuard) {
        let status = self.status();
        let refused = status.is_client_error() || status.is_server_error();
        let outcome = match refused {
            true => Outcome::of_status(status).as_str(),
            false => OK,
        };
        let span = &guard.span;
        if !span.is_disabled() {
            span.record("clerk.trace_id", trace_id(self.headers()));
            span.record("clerk.outcome", outcome);
            span.record("http.response.status_code", i64::from(status.as_u16()));
        }
        let error_type = refused.then(|| Cow::Owned(status.as_str().to_owned()));
        if let Some(error_type) = &error_type {
            guard.record_error_type(error_type);
        }
        guard.meter.end(outcome, Some(status), error_type);
    }

    fn typed(error: &BoxError) -> Option<&Error> {
        error.downcast_ref()
    }
}

/// Records the end of a call or an attempt in span and metrics, or when dropped a cancellation.
#[derive(Debug)]
pub struct SpanGuard {
    span: Span,
    kind: OperationKind,
    meter: Meter,
    /// Of a call.
    watch: Option<CallWatch>,
    /// The deadline of the call, in the span of an attempt.
    deadline: Option<Instant>,
    ended: bool,
}

impl SpanGuard {
    pub(crate) fn of_call(span: &Span, request: &mut ActorTokenRequest) -> Option<Box<Self>> {
        let kind = request.operation().kind();
        Self::begin(span, || Self {
            span: span.clone(),
            kind,
            meter: Meter::call(kind),
            watch: Some(request.watch()),
            deadline: None,
            ended: false,
        })
    }

    pub(super) fn of_attempt(span: &Span, context: &SpanContext<'_>) -> Option<Box<Self>> {
        Self::begin(span, || Self {
            span: span.clone(),
            kind: context.kind,
            meter: Meter::attempt(context.kind, context.server),
            watch: None,
            deadline: context.deadline,
            ended: false,
        })
    }

    fn begin(span: &Span, guard: impl FnOnce() -> Self) -> Option<Box<Self>> {
        (METERED || !span.is_disabled()).then(|| Box::new(guard()))
    }

    fn end<T: Traced>(mut self, result: &Result<T, T::Error>) {
        self.ended = true;
        self.record_attempts();
        match result {
            Ok(response) => response.record(&self),
            Err(error) => self.failed(T::typed(error)),
        }
    }

    /// Records a failure. `None` is a foreign error.
    fn failed(&self, error: Option<&Error>) {
        let error_type = error_type(error);
        self.record_error_type(&error_type);
        let Some(error) = error else {
            return self.meter.end("unknown", None, Some(error_type));
        };
        let (outcome, status) = (error.outcome().as_str(), error.status());
        self.span.record("clerk.outcome", outcome);
        let number = status.map(|status| i64::from(status.as_u16()));
        self.span.record("http.response.status_code", number);
        self.span.record("clerk.error.code", error.code());
        self.span.record("clerk.trace_id", error.trace_id());
        if let Some(id) = error.actor_token_id() {
            self.record_id(id);
        }
        self.meter.end(outcome, status, Some(error_type));
    }

    /// Records the id of a minted token. The span of a revoke has it from the start, and OpenTelemetry
    /// exports a field twice that is recorded twice.
    fn record_id(&self, id: &ActorTokenId) {
        if self.kind == OperationKind::Create {
            self.span.record("actor_token.id", id.as_str());
        }
    }

    fn record_attempts(&self) {
        if let Some(watch) = &self.watch {
            self.span
                .record("clerk.attempts", i64::from(watch.attempts()));
        }
    }

    fn record_error_type(&self, error_type: &str) {
        self.span.record("error.type", error_type);
        self.span.record("otel.status_code", "ERROR");
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let why = interrupted(self.deadline);
        let outcome = self.watch.as_ref().map(|watch| watch.outcome().as_str());
        self.record_attempts();
        self.record_error_type(why);
        self.span.record("clerk.outcome", outcome);
        self.meter
            .end(outcome.unwrap_or("cut"), None, Some(why.into()));
    }
}
