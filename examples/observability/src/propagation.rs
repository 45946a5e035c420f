//! Propagation of W3C's `traceparent`: it is added to every attempt and read by the server.

use std::task::{Context, Poll};

use clerk_actor_tokens::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower::Service;
use tracing::{Instrument, Span, instrument::Instrumented};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Adds the context of the current span. In a wire layer that is the attempt's span.
pub(crate) fn inject(mut request: Request<Body>) -> Request<Body> {
    let context = Span::current().context();
    let mut headers = Outgoing(request.headers_mut());
    TraceContextPropagator::new().inject_context(&context, &mut headers);
    request
}

/// The server side. Each request has a span, in the trace that its headers name.
#[derive(Clone)]
pub(crate) struct Receive<S>(pub(crate) S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for Receive<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let remote = TraceContextPropagator::new().extract(&Incoming(request.headers()));
        let span = tracing::info_span!(parent: None, "sandbox", otel.kind = "server");
        // It fails only without a subscriber for spans.
        let _ = span.set_parent(remote);
        let serving = span.in_scope(|| self.0.call(request));
        serving.instrument(span)
    }
}

struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
