//! [`middleware`], the layers around each request.

use std::{any::Any, net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    extract::{ConnectInfo, MatchedPath, Request},
    middleware::map_request,
    response::{IntoResponse, Response},
};
use clerk_actor_tokens::{ClerkError, ClerkErrors};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    sensitive_headers::{SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer},
    timeout::{RequestBodyDeadlineLayer, TimeoutLayer},
    trace::TraceLayer,
};
use tracing::Span;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id of a caller that is kept, in bytes.
const MAX_REQUEST_ID: usize = 128;
/// The time for a request. A call has its own timeout and ends long before; this is for a handler that hangs.
const REQUEST: Duration = Duration::from_secs(300);

/// Surrounds each route and the fallback of a router: a request id, a span, and time limits. Headers that
/// hold a credential are marked as sensitive, and a panic becomes a 500.
///
/// A body that is not received within `body_timeout` fails its request. A request that takes 300 s is dropped
/// and gets a 503. No status is ever 408, because clients repeat a request after one, and the first request may
/// have created a token.
pub fn middleware(router: Router, body_timeout: Duration) -> Router {
    let layers = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([
            AUTHORIZATION,
            PROXY_AUTHORIZATION,
            COOKIE,
        ]))
        .layer(SetSensitiveResponseHeadersLayer::new([SET_COOKIE]))
        .layer(map_request(check_request_id))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(on_response)
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST,
        ))
        .layer(RequestBodyDeadlineLayer::new(body_timeout));
    router.layer(layers)
}

/// Removes a request id that is long or has odd characters. A new one takes its place.
async fn check_request_id(mut request: Request) -> Request {
    let mut ids = request.headers().get_all(REQUEST_ID).iter();
    let is_plain = |id: &HeaderValue| {
        id.len() <= MAX_REQUEST_ID && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let is_kept = ids.next().is_none_or(is_plain) && ids.next().is_none();
    if !is_kept {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// The route, not the path, because a path may hold a user id.
fn span<B>(request: &http::Request<B>) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    let id = request.extensions().get::<RequestId>();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    tracing::info_span!(
        "request",
        method = %request.method(),
        route = route.map_or("-", MatchedPath::as_str),
        id = id.and_then(|id| id.header_value().to_str().ok()),
        peer = peer.map(|peer| tracing::field::display(peer.0)),
    )
}

fn on_response<B>(response: &http::Response<B>, latency: Duration, _: &Span) {
    let (status, ms) = (response.status().as_u16(), latency.as_millis());
    // Other errors are refusals, which the audit and the metrics have.
    match response.status() {
        StatusCode::INTERNAL_SERVER_ERROR => tracing::warn!(status, ms, "responded"),
        _ => tracing::debug!(status, ms, "responded"),
    }
}

/// The panic hook has logged the message, which is not for a caller.
fn on_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request panicked");
    let sentence = "The gateway failed. The call may have taken effect.";
    let error = ClerkError::new("internal_error", "internal error", sentence);
    let no_store = [(CACHE_CONTROL, "no-store")];
    let body = Json(ClerkErrors::new(error));
    (StatusCode::INTERNAL_SERVER_ERROR, no_store, body).into_response()
}
