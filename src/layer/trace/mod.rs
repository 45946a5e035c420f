//! Wraps every attempt into a span, by OpenTelemetry's conventions for HTTP clients.
//!
//! # Position
//!
//! Below retry, so that each attempt has its own span, a child of the [call's](super::trace_call).
//! Directly above [`DecodeErrorLayer`](super::DecodeErrorLayer), where an attempt begins and where it
//! ends in one typed error. So the span covers head and body, ends with the attempt's timeout, and has
//! the [`Outcome`](crate::Outcome). The wire layers of users, the key provider and the transport run
//! inside it. It is far above [`BearerAuthLayer`](super::BearerAuthLayer), so that it never sees the
//! key.
//!
//! The name is `attempt`, the target `clerk_actor_tokens`, the level INFO. The fields are:
//!
//! | field | |
//! |---|---|
//! | `otel.name` | `POST /actor_tokens`, `POST /actor_tokens/{actor_token_id}/revoke` |
//! | `otel.kind` | `client` |
//! | `otel.status_code` | `ERROR` when it failed |
//! | `http.request.method` | `POST` |
//! | `url.template` | `/actor_tokens`, `/actor_tokens/{actor_token_id}/revoke` |
//! | `server.address`, `server.port` | the server it is sent to |
//! | `http.request.resend_count` | from the second attempt on |
//! | `http.response.status_code` | if there was a response |
//! | `error.type` | the status, or one of `timeout`, `connect`, `transport`, `overloaded`, `runtime`, `key`, `invalid_request`, `refused`, `unreadable_response`, `already_accepted`, `already_revoked`, `foreign`, `cancelled`, `panic` |
//! | `clerk.outcome` | `ok`, `not_sent`, `rejected`, `unknown`, `applied`; none when it was cancelled |
//! | `clerk.error.code`, `clerk.trace_id` | from the response |
//! | `actor_token.id` | of a revoke, or of a token that a failed create minted |
//!
//! A span never holds a user id, an actor, a URL, a header value, a body or a credential. Template and
//! id replace `url.full`, which the conventions ask for.
//!
//! With the feature `metrics` the layer also measures each attempt, with or without spans; see
//! `describe_metrics`.
//!
//! # Example
//!
//! A W3C `traceparent` on every attempt: a wire layer runs inside the attempt's span, so that a
//! propagator finds it as the current span.
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
//! Dropping the future drops the attempt inside the span and closes the span, with `error.type` =
//! `timeout` after the call's deadline, else `cancelled`.
//!
//! # Differences from `tower_http::trace`
//!
//! It records the typed error, its span ends with the body, and it shows no URI and no headers.
//! `tower_http`'s layer can replace it, as a [wire layer](crate::ClientBuilder::wire_layer) with this
//! one [disabled](TraceLayer::disabled).

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
    config: Config,
}

#[derive(Clone, Debug, Default)]
struct Config {
    make_span: MakeSpan,
    servers: Servers,
}

impl TraceLayer {
    /// Spans at the level INFO.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No spans.
    #[must_use]
    pub fn disabled() -> Self {
        let mut layer = Self::new();
        layer.config.make_span = MakeSpan::None;
        layer
    }

    pub(super) fn is_disabled(&self) -> bool {
        matches!(self.config.make_span, MakeSpan::None)
    }

    /// The level of the spans. Default: INFO.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.config.make_span = MakeSpan::At(level);
        self
    }

    /// Makes the spans by `make`, with a name, level and fields of your own, as in the example of
    /// [`TraceCallLayer::make_span`](super::TraceCallLayer::make_span). A field of the [table](self) that is
    /// known only at the end is recorded if the span declares it.
    #[must_use]
    pub fn make_span<F>(mut self, make: F) -> Self
    where
        F: Fn(&SpanContext<'_>) -> Span + Send + Sync + 'static,
    {
        self.config.make_span = MakeSpan::by(make);
        self
    }

    /// Sets the server of attempts, for `server.address` and `server.port`. Default: none, or the base
    /// URL of the [`ClientBuilder`](crate::ClientBuilder) that the layer is part of.
    #[must_use]
    pub fn base_url(mut self, base_url: BaseUrl) -> Self {
        self.config.servers.base = Some(base_url);
        self
    }

    /// Adds another server that attempts may be sent to, see
    /// [`BaseUriLayer::allow`](super::BaseUriLayer::allow). Any other server is not named.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.config.servers.allowed.push(other);
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace {
            inner,
            config: Arc::new(self.config.clone()),
        }
    }
}

/// Wraps every attempt into a span, see the [module](self).
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    config: Arc<Config>,
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
