//! Reads the body of a response into [`Bytes`], up to a limit.
//!
//! # Position
//!
//! Below the attempt's timeout, so that reading is bounded in time. Below retry, which would otherwise
//! drop an unread body and its connection.
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
//! assert_eq!(error.to_string(), "the response is longer than 8 bytes");
//! # }
//! ```
//!
//! # Errors
//!
//! A 200 with an incomplete or too long body is a [`CollectBodyError`]. It keeps the head and the bytes
//! received, because they may contain the id of a minted token. With any other status the bytes received
//! become the response.
//!
//! # Cancel safety
//!
//! Dropping the future drops the exchange. [`SettleLayer`](super::SettleLayer) still gets the bytes
//! received.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Body, BoxError, call::Attempt, response_head::ResponseHead};

/// Layer of [`CollectBody`].
#[derive(Clone, Copy, Debug)]
pub struct CollectBodyLayer {
    limit: usize,
}

impl CollectBodyLayer {
    /// Reads at most `limit` bytes of a response body.
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }
}

impl Default for CollectBodyLayer {
    /// 256 KiB, a hundred times the size of the API's responses.
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

/// Reads the body of a response into [`Bytes`], see the [module](self).
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
    type Response = Response<Bytes>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let attempt = request.body().attempt_handle();
        ResponseFuture {
            state: State::Head {
                future: self.inner.call(request),
            },
            limit: self.limit,
            attempt,
        }
    }
}

pin_project! {
    /// The future of [`CollectBody`].
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        limit: usize,
        attempt: Attempt,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Head {
            #[pin]
            future: F,
        },
        Body {
            head: Option<response::Parts>,
            #[pin]
            body: B,
            // Whether the attempt has recorded a part of the body.
            begun: bool,
        },
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: HttpBody,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Bytes>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (head, mut body, begun) = match this.state.as_mut().project() {
                StateProj::Head { future } => {
                    let (head, body) = ready!(future.poll(cx)).map_err(Into::into)?.into_parts();
                    if head.status != StatusCode::OK {
                        this.attempt.note_failed_head(ResponseHead::from(&head));
                    }
                    let (head, begun) = (Some(head), false);
                    this.state.set(State::Body { head, body, begun });
                    continue;
                }
                StateProj::Body { head, body, begun } => (head, body, begun),
            };
            let end = match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are ignored.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let (data, is_last) = (data.into(), body.is_end_stream());
                    let is_whole = !mem::replace(begun, true) && is_last;
                    if is_whole && data.len() <= *this.limit {
                        // The usual body: 270 instructions less.
                        let head = head.take().expect("polled after it was ready");
                        return Poll::Ready(Ok(Response::from_parts(head, data)));
                    }
                    let fits = this.attempt.receive(data, *this.limit);
                    if fits && !is_last {
                        continue;
                    }
                    fits.then_some(()).ok_or(None)
                }
                Some(Err(error)) => Err(Some(error.into())),
                None => Ok(()),
            };
            let head = head.take().expect("polled after it was ready");
            return Poll::Ready(match end {
                Err(source) if head.status == StatusCode::OK => Err(CollectBodyError {
                    head,
                    prefix: this.attempt.received(),
                    limit: *this.limit,
                    source,
                }
                .into()),
                _ => Ok(Response::from_parts(head, this.attempt.take_received())),
            });
        }
    }
}

crate::text::opaque_debug!(ResponseFuture<F, B>);

/// The error of a 200 with an incomplete or too long body. `Debug` leaves out the bytes.
#[derive(thiserror::Error)]
pub struct CollectBodyError {
    head: response::Parts,
    prefix: Bytes,
    limit: usize,
    /// `None` if the body is longer than the limit.
    source: Option<BoxError>,
}

impl CollectBodyError {
    /// Returns the head of the response.
    pub fn head(&self) -> &response::Parts {
        &self.head
    }

    /// Returns the bytes of the body that were received. They may hold a credential.
    pub fn expose_prefix(&self) -> &Bytes {
        &self.prefix
    }
}

impl fmt::Display for CollectBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            None => write!(f, "the response is longer than {} bytes", self.limit),
            Some(_) => write!(
                f,
                "the response body failed after {} bytes",
                self.prefix.len()
            ),
        }
    }
}

crate::text::opaque_debug!(CollectBodyError, |it|
    status: it.head.status, received: it.prefix.len(), source: it.source);
