//! Creates a span for each attempt, by OpenTelemetry's conventions for HTTP clients.
//!
//! # Position
//!
//! Below retry, so that each attempt has its own span, a child of the [call's](super::trace_call).
//! Directly above [`DecodeErrorLayer`](super::DecodeErrorLayer), so that the span covers head and body and
//! records the [`Outcome`](crate::Outcome). It includes your wire layers, the key provider and the
//! transport, but never sees the key.
//!
//! The span is named `attempt`, with the target `clerk_actor_tokens` and the level INFO. Its fields:
//!
//! | field | value |
//! |---|---|
//! | `otel.name` | `POST /actor_tokens`, `POST /actor_tokens/{actor_token_id}/revoke` |
//! | `otel.kind` | `client` |
//! | `otel.status_code` | `ERROR` on failure |
//! | `http.request.method` | `POST` |
//! | `url.template` | `/actor_tokens`, `/actor_tokens/{actor_token_id}/revoke` |
//! | `server.address`, `server.port` | of the API |
//! | `http.request.resend_count` | from the second attempt on |
//! | `http.response.status_code` | if there was a response |
//! | `error.type` | the status, or one of `timeout`, `connect`, `transport`, `overloaded`, `runtime`, `key`, `invalid_request`, `refused`, `unreadable_response`, `already_accepted`, `already_revoked`, `not_revoked`, `foreign`, `cancelled`, `panic` |
//! | `clerk.outcome` | `ok`, `not_sent`, `rejected`, `unknown`, `applied`; none if cancelled |
//! | `clerk.error.code`, `clerk.trace_id` | from the response |
//! | `actor_token.id` | of a revoke, or of a token that a failed create minted |
//!
//! With the feature `sessions`, attempts about them have the methods and templates `GET /sessions` and
//! `POST /sessions/{session_id}/revoke`.
//!
//! A span never contains a user id, an actor, a URL, a header value, a body or a credential. So it has
//! no `url.full`, which the conventions require.
//!
//! With the feature `metrics` it also measures attempts, even without spans; see `describe_metrics`.
//!
//! # Example
//!
//! A W3C `traceparent` on every attempt. In a wire layer the span of the attempt is the current one.
//!
//! ```
//! use clerk_actor_tokens::{Body, ClientBuilder, SecretKey};
//! use http::{HeaderMap, Request};
//! use tower::util::MapRequestLayer;
//! # use clerk_actor_tokens::BoxError;
//! # use http::Response;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = SecretKey::new("sk_test_1")?;
//! # let transport = tower::service_fn(|_: Request<Body>| async {
//! #     Ok::<_, BoxError>(Response::new(String::new()))
//! # });
//!
//! /// With OpenTelemetry: `propagator.inject_context(&span.context(), &mut HeaderInjector(headers))`.
//! fn inject(span: &tracing::Span, headers: &mut HeaderMap) {
//! #   let _ = (span, headers);
//! }
//!
//! let client = ClientBuilder::over(key, transport)
//!     .wire_layer(MapRequestLayer::new(|mut request: Request<Body>| {
//!         inject(&tracing::Span::current(), request.headers_mut());
//!         request
//!     }))
//!     .build()?;
//! # let _ = client;
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the attempt and closes the span, with `error.type` = `timeout` after the
//! deadline of the call, else `cancelled`.
//!
//! # Differences from `tower_http::trace`
//!
//! It records the typed error, and no URI and no headers. Its span ends with the body. To use
//! `tower_http`'s, add it as a [wire layer](crate::ClientBuilder::wire_layer) and
//! [disable](TraceLayer::disabled) this one.

mod context;
pub(super) mod future;
pub(super) mod span;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Level, Span};

use self::{context::Servers, future::SpanGuard, span::MakeSpan};
pub use self::{context::SpanContext, future::ResponseFuture};
use crate::{BaseUrl, BoxError, Payload};

/// Layer of [`Trace`].
#[derive(Clone, Debug, Default)]
pub struct TraceLayer {
    make_span: MakeSpan,
    servers: Servers,
}

impl TraceLayer {
    /// Creates spans at level INFO.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates no spans.
    pub fn disabled() -> Self {
        Self {
            make_span: MakeSpan::None,
            ..Self::default()
        }
    }

    pub(super) fn is_disabled(&self) -> bool {
        matches!(self.make_span, MakeSpan::None)
    }

    /// Sets the level of the spans. Default: INFO.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.make_span = MakeSpan::At(level);
        self
    }

    /// Creates the spans with `make`, like
    /// [`TraceCallLayer::make_span`](super::TraceCallLayer::make_span).
    #[must_use]
    pub fn make_span<F>(mut self, make: F) -> Self
    where
        F: Fn(&SpanContext<'_>) -> Span + Send + Sync + 'static,
    {
        self.make_span = MakeSpan::By(Arc::new(make));
        self
    }

    /// Sets the server, for `server.address` and `server.port`. Default: none, or the base URL of the
    /// [`ClientBuilder`](crate::ClientBuilder).
    #[must_use]
    pub fn base_url(mut self, base_url: BaseUrl) -> Self {
        self.servers.base = Some(base_url);
        self
    }

    /// Also names this server, see [`BaseUriLayer::allow`](super::BaseUriLayer::allow). Any other server
    /// is left out.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.servers.allowed.push(other);
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace {
            inner,
            config: Arc::new(self.clone()),
        }
    }
}

/// Creates a span for each attempt, see the [module](self).
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    config: Arc<TraceLayer>,
}

impl<S, B> Service<Request<Payload>> for Trace<S>
where
    S: Service<Request<Payload>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        if !self.config.make_span.is_on() {
            return ResponseFuture::new(self.inner.call(request), Span::none(), None);
        }
        let context = SpanContext::of_attempt(&request, &self.config.servers);
        let span = self.config.make_span.make(&context, span::attempt_span);
        let guard = SpanGuard::of_attempt(&span, &context);
        let inner = span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(inner, span, guard)
    }
}
