//! Reads the streaming body of a response into bytes in one piece, up to a limit.
//!
//! # Position
//!
//! Lowest of the attempt level: above it a response is complete or failed. It stands *inside* the
//! attempt's timeout, so that reading is bounded in time, and below retry, which would otherwise drop a
//! half-read body and its connection. Another layer of this kind cannot stand above it, because its
//! response is no streaming body any more.
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
//! The body of a 200 that breaks off or exceeds the limit is a [`CollectBodyError`]. It keeps the head
//! and the bytes so far, because they may hold the id of a minted token. Of any other status, a part of
//! the body serves as well as the whole, so that it is a response.
//!
//! # Cancel safety
//!
//! Dropping the future drops the exchange. The record of the call keeps the bytes so far, where
//! [`SettleLayer`](super::SettleLayer) finds the id of a minted token.

use std::{
    fmt,
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
    /// Reads at most `limit` bytes of a response.
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

/// Reads the body of a response, see the [module](self).
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
            // Taken when the body has ended.
            head: Option<response::Parts>,
            #[pin]
            body: B,
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
            let (head, mut body) = match this.state.as_mut().project() {
                StateProj::Head { future } => {
                    let (head, body) = ready!(future.poll(cx)).map_err(Into::into)?.into_parts();
                    this.attempt.note_head(ResponseHead::from(&head));
                    let head = Some(head);
                    this.state.set(State::Body { head, body });
                    continue;
                }
                StateProj::Body { head, body } => (head, body),
            };
            let failure = match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are ignored.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let fits = this.attempt.receive(data.into(), *this.limit);
                    // The end may be known with the last frame.
                    if fits && !body.is_end_stream() {
                        continue;
                    }
                    (!fits).then_some(Failure::TooLong(*this.limit))
                }
                Some(Err(error)) => Some(Failure::BrokenOff(error.into())),
                None => None,
            };
            let head = head.take().expect("polled after it was ready");
            return Poll::Ready(match failure {
                Some(failure) if head.status == StatusCode::OK => Err(CollectBodyError {
                    head,
                    prefix: this.attempt.received(),
                    failure,
                }
                .into()),
                _ => Ok(Response::from_parts(head, this.attempt.take_received())),
            });
        }
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    /// Shows nothing of the inner future, which may hold a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("limit", &self.limit)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// The error of a 200 whose body could not be read to its end. It shows nothing of the body.
pub struct CollectBodyError {
    head: response::Parts,
    prefix: Bytes,
    failure: Failure,
}

#[derive(Debug)]
enum Failure {
    TooLong(usize),
    BrokenOff(BoxError),
}

impl CollectBodyError {
    /// Returns the head of the response.
    #[must_use]
    pub fn head(&self) -> &response::Parts {
        &self.head
    }

    /// Returns the bytes of the body that were received. They may hold a credential.
    #[must_use]
    pub fn expose_prefix(&self) -> &Bytes {
        &self.prefix
    }
}

impl fmt::Display for CollectBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Failure::TooLong(limit) => write!(f, "the response is longer than {limit} bytes"),
            Failure::BrokenOff(_) => {
                let bytes = self.prefix.len();
                write!(f, "the response broke off after {bytes} bytes")
            }
        }
    }
}

impl fmt::Debug for CollectBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectBodyError")
            .field("status", &self.head.status)
            .field("received", &self.prefix.len())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for CollectBodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.failure {
            Failure::TooLong(_) => None,
            Failure::BrokenOff(error) => Some(&**error),
        }
    }
}
