//! The revoke that makes good for a lost create: the stack of a call, with limits of its own.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    ActorToken, ActorTokenRequest, Body, BoxError, Error, RetryConfig,
    layer::{DecodeErrorLayer, JsonLayer, RetryLayer, TimeoutLayer, TraceLayer, TypedErrorLayer},
};

/// How long one compensating revoke may take, pauses included.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// How long each of its attempts may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);

const MAX_ATTEMPTS: u32 = 5;

/// Revokes, apart from the limits of whoever lost the token.
pub(crate) type Revokes = BoxCloneSyncService<ActorTokenRequest, ActorToken, Error>;

/// The service that revokes over `inner`, where a create was lost. How long it may take in all is up to
/// who calls it, since getting ready counts, too.
pub(super) fn service<S>(inner: S, trace: &TraceLayer) -> Revokes
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let retry = RetryConfig::default()
        .max_attempts(MAX_ATTEMPTS)
        .max_elapsed(LIMIT)
        .max_retry_after(LIMIT)
        .budget(false);
    let svc = TimeoutLayer::new(ATTEMPT_LIMIT).layer(inner);
    let svc = DecodeErrorLayer::new().layer(svc);
    let svc = trace.layer(svc);
    let svc = RetryLayer::new(retry).layer(svc);
    let svc = JsonLayer::trusting_headers().layer(svc);
    let svc = TypedErrorLayer::new().layer(svc);
    Revokes::new(svc)
}
