//! Wraps every call into a span, over those of its attempts.
//!
//! # Position
//!
//! Outermost, above even [`TypedErrorLayer`](super::TypedErrorLayer): whatever ends a call, a layer of
//! the user's included, has become one typed [`Error`] by here, with the outcome of all attempts.
//! Users' call layers run inside the span. It begins with the call: what a caller waits until the stack
//! is ready is not in it.
//!
//! The name is `call`, the target `clerk_actor_tokens`, the level INFO, and the fields are:
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
//! With the feature `metrics` it measures each call, too, whether there are spans or not; see
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
//! Dropping the future drops the call inside the span and closes it, with `error.type` = `cancelled`
//! and the outcome as far as it is known.

mod future;

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;
use tracing::{Level, Span};

pub use self::future::ResponseFuture;
use self::future::Watch;
use super::trace::{Facts, MakeSpan};
use crate::{
    ActorToken, ActorTokenRequest, Error,
    telemetry::{CallMeter, METERED},
};

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

    /// No spans. Those of the attempts are then children of whatever span the caller is in.
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

    /// Lets `make` begin the spans, as in
    /// [`TraceLayer::make_span`](super::TraceLayer::make_span).
    ///
    /// ```
    /// use clerk_actor_tokens::layer::TraceCallLayer;
    /// use tracing::field::Empty;
    ///
    /// /// Put into the request's extensions by the application.
    /// #[derive(Clone)]
    /// struct RequestId(String);
    ///
    /// let layer = TraceCallLayer::new().make_span(|facts| {
    ///     let request_id = facts.extensions().get().map(|RequestId(id)| id.as_str());
    ///     tracing::info_span!(
    ///         "clerk",
    ///         otel.name = facts.span_name(),
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
        F: Fn(&Facts<'_>) -> Span + Send + Sync + 'static,
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
        let watch = (METERED || self.make_span.is_of_interest())
            .then(|| self.watch(&mut request))
            .flatten();
        let Some(watch) = watch else {
            // Made where it is returned, for it is large.
            return ResponseFuture {
                inner: Some(self.inner.call(request)),
                watch: None,
            };
        };
        let inner = watch.span().in_scope(|| self.inner.call(request));
        ResponseFuture {
            inner: Some(inner),
            watch: Some(watch),
        }
    }
}

impl<S> TraceCall<S> {
    /// What watches a call, if anybody looks.
    #[cold]
    fn watch(&self, request: &mut ActorTokenRequest) -> Option<Box<Watch>> {
        let facts = Facts::of_call(request);
        let span = self.make_span.of_call(&facts);
        if !METERED && span.is_none() {
            return None;
        }
        let kind = facts.kind();
        let meter = CallMeter::begin(kind);
        Some(Box::new(Watch::new(span, kind, meter, request.watch())))
    }
}
