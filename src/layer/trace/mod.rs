//! Wraps every attempt into a span, by OpenTelemetry's conventions for HTTP clients.
//!
//! # Position
//!
//! Below retry, so that each attempt has a span of its own, a child of the
//! [call's](super::trace_call), and directly above [`DecodeErrorLayer`](super::DecodeErrorLayer),
//! where an attempt begins and where it ends in one typed error: the span covers head and body, is
//! closed by the attempt's time-out, and tells the [`Outcome`](crate::Outcome). All that an attempt
//! does happens inside it, the wire layers of users, the key's provider and the transport
//! included. It stands far above [`BearerAuthLayer`](super::BearerAuthLayer), so that it never sees
//! the key.
//!
//! The name is `attempt`, the target `clerk_actor_tokens`, the level INFO, and the fields are:
//!
//! | field | |
//! |---|---|
//! | `otel.name` | `POST /actor_tokens`, `POST /actor_tokens/{actor_token_id}/revoke` |
//! | `otel.kind` | `client` |
//! | `otel.status_code` | `ERROR` when it failed |
//! | `http.request.method` | `POST` |
//! | `url.template` | `/actor_tokens`, `/actor_tokens/{actor_token_id}/revoke` |
//! | `server.address`, `server.port` | where it goes |
//! | `http.request.resend_count` | from the second attempt on |
//! | `http.response.status_code` | if there was an answer |
//! | `error.type` | the status, or one of `timeout`, `connect`, `transport`, `overloaded`, `runtime`, `key`, `invalid_request`, `unreadable_answer`, `already_accepted`, `already_revoked`, `foreign`, `cancelled`, `panic` |
//! | `clerk.outcome` | `ok`, `not_sent`, `rejected`, `unknown`, `applied`; none when nobody waited for it |
//! | `clerk.error.code`, `clerk.trace_id` | what the API said |
//! | `actor_token.id` | of a revoke, or of a token that was minted all the same |
//!
//! Never a user id, an actor, a URL, a header value, a body or a credential: in place of `url.full`,
//! which the conventions ask for, template and id tell as much.
//!
//! With the feature `metrics` it measures each attempt, too, whether there are spans or not; see
//! `describe_metrics`.
//!
//! # Example
//!
//! A W3C `traceparent` on every attempt: what a layer of the user's does, it does inside the
//! attempt's span, so that a propagator finds it as the current one.
//!
//! ```
//! use clerk_actor_tokens::{Body, ClientBuilder, SecretKey};
//! use http::{HeaderMap, Request};
//! use tower::util::MapRequestLayer;
//! # use clerk_actor_tokens::BoxError;
//! # use http::Response;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = SecretKey::new("sk_test_1")?;
//! # let transport = tower::service_fn(|_: Request<Payload>| async {
//! #     Ok::<_, BoxError>(Response::new(String::new()))
//! # });
//!
//! /// With OpenTelemetry: `propagator.inject_context(&span.context(), &mut HeaderInjector(headers))`.
//! fn inject(span: &tracing::Span, headers: &mut HeaderMap) {
//! #   let _ = (span, headers);
//! }
//!
//! let client = ClientBuilder::over(key, transport)
//!     .wire_layer(MapRequestLayer::new(|mut request: Request<Payload>| {
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
//! Dropping the future drops the attempt inside the span and closes it, with `error.type` = `timeout`
//! when the call's own time is over, else `cancelled`.
//!
//! # Differences from `tower_http::trace`
//!
//! It knows the typed error, its span ends with the body, and it shows no URI and no headers.
//! `tower_http`'s layer can stand in its place, as an
//! [wire layer](crate::ClientBuilder::wire_layer) with this one [disabled](TraceLayer::disabled).

mod facts;
mod future;
mod make_span;
pub(super) mod record;
mod servers;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Level, Span};

pub(super) use self::make_span::MakeSpan;
pub use self::{facts::Facts, future::ResponseFuture};
use self::{future::Watch, servers::Servers};
use crate::{
    BaseUrl, BoxError, Payload,
    telemetry::{AttemptMeter, METERED},
};

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

    /// Lets `make` begin the spans, with the name, level and fields of one's own. Of the fields in
    /// the [table](self) that are known only later, those are recorded that the span declares; what
    /// it leaves out is left out.
    ///
    /// ```
    /// use clerk_actor_tokens::layer::TraceLayer;
    /// use tracing::field::Empty;
    ///
    /// let layer = TraceLayer::new().make_span(|facts| {
    ///     tracing::debug_span!(
    ///         "clerk",
    ///         otel.name = facts.span_name(),
    ///         otel.kind = "client",
    ///         otel.status_code = Empty,
    ///         deployment.environment.name = "staging",
    ///         http.response.status_code = Empty,
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
        self.config.make_span = MakeSpan::by(make);
        self
    }

    /// Where attempts go, for `server.address` and `server.port`. Default: not told, unless the layer
    /// is part of a [`ClientBuilder`](crate::ClientBuilder).
    #[must_use]
    pub fn base_url(mut self, base_url: BaseUrl) -> Self {
        self.config.servers.set_base(base_url);
        self
    }

    /// Where else attempts may go, see [`BaseUriLayer::allow`](super::BaseUriLayer::allow). A server
    /// that is neither this nor the base URL's is not told.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.config.servers.allow(other);
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
        let watch = (METERED || self.config.make_span.is_of_interest())
            .then(|| self.watch(&request))
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

impl<S> Trace<S> {
    /// What watches an attempt, if anybody looks.
    #[cold]
    fn watch(&self, request: &Request<Payload>) -> Option<Box<Watch>> {
        let Config { make_span, servers } = &*self.config;
        let facts = Facts::of_attempt(request, servers);
        let span = make_span.of_attempt(&facts);
        if !METERED && span.is_none() {
            return None;
        }
        let server = || facts.server().map(|(host, port)| (host.to_owned(), port));
        let kind = facts.kind();
        let meter = AttemptMeter::begin(kind, server);
        let deadline = request.body().deadline();
        Some(Box::new(Watch::new(span, kind, meter, deadline)))
    }
}
