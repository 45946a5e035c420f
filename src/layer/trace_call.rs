//! Wraps every call into a span, the parent of its attempts' spans.
//!
//! # Position
//!
//! Outermost, above even [`TypedErrorLayer`](super::TypedErrorLayer): every failure, also of a layer of
//! the user's, is one typed [`Error`] here, with the outcome of all attempts. The call layers of users
//! run inside the span. It begins with the call and does not include the wait until the stack is
//! ready.
//!
//! The name is `call`, the target `clerk_actor_tokens`, the level INFO. The fields are:
//!
//! | field | |
//! |---|---|
//! | `otel.name` | `actor_tokens.create`, `actor_tokens.revoke` |
//! | `otel.kind` | `internal`; the requests are those of the [attempts](super::trace) |
//! | `otel.status_code` | `ERROR` when it failed |
//! | `clerk.operation` | `create`, `revoke` |
//! | `clerk.attempts` | how many attempts were begun |
//! | `clerk.outcome` | `ok`, `not_sent`, `rejected`, `unknown`, `applied` |
//! | `actor_token.id` | of the token that was minted or revoked |
//! | `http.response.status_code`, `error.type`, `clerk.error.code`, `clerk.trace_id` | of its error, as an [attempt](super::trace) has them |
//!
//! With the feature `metrics` the layer also measures each call, with or without spans; see
//! `describe_metrics`.
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
//! Dropping the future drops the call inside the span and closes the span, with `error.type` =
//! `cancelled` and the outcome as far as it is known.

use std::task::{Context, Poll};

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
    /// Spans at the level INFO.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No spans. The spans of the attempts are then children of the caller's span.
    #[must_use]
    pub fn disabled() -> Self {
        Self {
            make_span: MakeSpan::None,
        }
    }

    /// The level of the spans. Default: INFO.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.make_span = MakeSpan::At(level);
        self
    }

    /// Makes the spans by `make`, with a name, level and fields of your own. A field of the [table](self) that
    /// is known only at the end is recorded if the span declares it.
    ///
    /// ```
    /// use clerk_actor_tokens::layer::TraceCallLayer;
    /// use tracing::field::Empty;
    ///
    /// /// Put into the request's extensions by the application.
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
        self.make_span = MakeSpan::by(make);
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

/// Wraps every call into a span, see the [module](self).
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
