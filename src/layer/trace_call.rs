//! Creates a span for each call, the parent of the spans of its attempts.
//!
//! # Position
//!
//! Outermost. Below it, [`TypedErrorLayer`](super::TypedErrorLayer) turns any failure into an [`Error`]
//! with the outcome of all attempts. The span includes your layers, but not the wait for readiness.
//!
//! The span is named `call`, with the target `clerk_actor_tokens` and the level INFO. Its fields:
//!
//! | field | value |
//! |---|---|
//! | `otel.name` | `actor_tokens.create`, `actor_tokens.revoke` |
//! | `otel.kind` | `internal`; each [attempt](super::trace) has a client span |
//! | `otel.status_code` | `ERROR` on failure |
//! | `clerk.operation` | `create`, `revoke` |
//! | `clerk.attempts` | the number of attempts |
//! | `clerk.outcome` | `ok`, `not_sent`, `rejected`, `unknown`, `applied` |
//! | `actor_token.id` | of the token that was minted or revoked |
//! | `http.response.status_code`, `error.type`, `clerk.error.code`, `clerk.trace_id` | from the error, as in an [attempt](super::trace) |
//!
//! With the feature `metrics` it also measures calls, even without spans; see `describe_metrics`.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{ActorToken, ActorTokenRequest, ActorTokenStatus, BoxError};
//! use clerk_actor_tokens::layer::{TraceCallLayer, TypedErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tracing::Level;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new()
//!     .layer(TraceCallLayer::new().level(Level::DEBUG))
//!     .layer(TypedErrorLayer::new())
//!     .service_fn(|_: ActorTokenRequest| async {
//!         let id = "act_1".parse()?;
//!         Ok::<_, BoxError>(ActorToken::new(id, ActorTokenStatus::Revoked))
//!     });
//! let request = ActorTokenRequest::revoke("act_1".parse()?);
//! service.ready().await?.call(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the call and closes the span, with `error.type` = `cancelled` and the
//! outcome so far.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;
use tracing::{Level, Span};

pub use super::trace::ResponseFuture;
use super::trace::{
    SpanContext,
    future::SpanGuard,
    span::{self, MakeSpan},
};
use crate::{ActorToken, ActorTokenRequest, Error};

/// Layer of [`TraceCall`].
#[derive(Clone, Debug, Default)]
pub struct TraceCallLayer {
    make_span: MakeSpan,
}

impl TraceCallLayer {
    /// Creates spans at level INFO.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates no spans. The spans of attempts become children of the caller's span.
    pub fn disabled() -> Self {
        Self {
            make_span: MakeSpan::None,
        }
    }

    /// Sets the level of the spans. Default: INFO.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.make_span = MakeSpan::At(level);
        self
    }

    /// Creates the spans with `make`, which chooses name, level and fields. A field of the [table](self)
    /// that is known only at the end is recorded if the span declares it.
    ///
    /// ```
    /// use clerk_actor_tokens::layer::TraceCallLayer;
    /// use tracing::field::Empty;
    ///
    /// /// The application inserts it into the extensions of the request.
    /// #[derive(Clone)]
    /// struct RequestId(String);
    ///
    /// let layer = TraceCallLayer::new().make_span(|context| {
    ///     let request_id = context.extensions().get().map(|RequestId(id)| id.as_str());
    ///     tracing::info_span!(
    ///         "clerk",
    ///         otel.name = context.span_name(),
    ///         request_id,
    ///         clerk.outcome = Empty,
    ///         "error.type" = Empty,
    ///     )
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn make_span<F>(mut self, make: F) -> Self
    where
        F: Fn(&SpanContext<'_>) -> Span + Send + Sync + 'static,
    {
        self.make_span = MakeSpan::By(Arc::new(make));
        self
    }
}

impl<S> Layer<S> for TraceCallLayer {
    type Service = TraceCall<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TraceCall {
            inner,
            make_span: self.make_span.clone(),
        }
    }
}

/// Creates a span for each call, see the [module](self).
#[derive(Clone, Debug)]
pub struct TraceCall<S> {
    inner: S,
    make_span: MakeSpan,
}

impl<S> Service<ActorTokenRequest> for TraceCall<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error>,
{
    type Response = ActorToken;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        if !self.make_span.is_on() {
            return ResponseFuture::new(self.inner.call(request), Span::none(), None);
        }
        let context = SpanContext::of_call(&request);
        let span = self.make_span.make(&context, span::call_span);
        let guard = SpanGuard::of_call(&span, &mut request);
        let inner = span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(inner, span, guard)
    }
}
