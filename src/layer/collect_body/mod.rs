//! Reads the streaming body of an answer into bytes in one piece, up to a limit.
//!
//! # Position
//!
//! Lowest of the attempt level: above it a response is whole or failed. It stands *inside* the
//! attempt's time-out, so that reading is bounded in time, and below retry, which would otherwise
//! drop a half-read body and the connection with it.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Body, BoxError, OperationKind, layer::CollectBodyLayer};
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut service = ServiceBuilder::new().layer(CollectBodyLayer::new(8)).service_fn(
//!     |_: Request<Body>| async { Ok::<_, BoxError>(Response::new("9 bytes!!".to_owned())) },
//! );
//! let request = Request::new(Body::new(OperationKind::Revoke, ""));
//! let error = service.ready().await.unwrap().call(request).await.unwrap_err();
//! assert_eq!(error.to_string(), "the answer is longer than 8 bytes");
//! # }
//! ```
//!
//! # Errors
//!
//! A body that breaks off or exceeds the limit is a [`CollectBodyError`], which keeps the head and
//! what was read: the id of a minted token may stand in it. Of answers other than 200 a part is as
//! good as the whole, and comes through as a response.
//!
//! # Cancel safety
//!
//! Dropping the future drops the exchange. What was read until then stays with the attempt, for
//! [`SettleLayer`](super::SettleLayer) to find the id of a minted token in it.

mod error;
mod future;

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

pub use self::{error::CollectBodyError, future::ResponseFuture};
use crate::{Body, BoxError};

/// Layer of [`CollectBody`].
#[derive(Clone, Copy, Debug)]
pub struct CollectBodyLayer {
    limit: usize,
}

impl CollectBodyLayer {
    /// Reads at most `limit` bytes of an answer.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }
}

impl Default for CollectBodyLayer {
    /// 256 KiB, a hundred times what the API sends.
    fn default() -> Self {
        Self::new(256 * 1024)
    }
}

impl<S> Layer<S> for CollectBodyLayer {
    type Service = CollectBody<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CollectBody {
            inner,
            limit: self.limit,
        }
    }
}

/// Reads the body of an answer, see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct CollectBody<S> {
    inner: S,
    limit: usize,
}

impl<S, B> Service<Request<Body>> for CollectBody<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: HttpBody,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (attempt, readers) = request.body_mut().sent_attempt();
        ResponseFuture::new(self.inner.call(request), self.limit, attempt, readers)
    }
}
