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
//! use bytes::Bytes;
//! use clerk_actor_tokens::{BoxError, layer::CollectBodyLayer};
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut service = ServiceBuilder::new()
//!     .layer(CollectBodyLayer::new(8))
//!     .service_fn(|body: Bytes| async { Ok::<_, BoxError>(http::Response::new(Full::new(body))) });
//! assert!(service.ready().await.unwrap().call("8 bytes!".into()).await.is_ok());
//! let error = service.ready().await.unwrap().call("9 bytes!!".into()).await.unwrap_err();
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
//! Dropping the future drops the exchange, and with it what was read.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode, response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

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

impl<S, R, B> Service<R> for CollectBody<S>
where
    S: Service<R, Response = Response<B>>,
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

    fn call(&mut self, request: R) -> Self::Future {
        ResponseFuture {
            state: State::Head {
                future: self.inner.call(request),
            },
            limit: self.limit,
        }
    }
}

pin_project! {
    /// The exchange below: first its head, then its body.
    #[derive(Debug)]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        limit: usize,
    }
}

pin_project! {
    #[derive(Debug)]
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
            read: Prefix,
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
    type Output = Result<Response<Full<Bytes>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (head, body, read) = match this.state.as_mut().project() {
                StateProj::Head { future } => {
                    let (head, body) = ready!(future.poll(cx)).map_err(Into::into)?.into_parts();
                    let read = Prefix::default();
                    this.state.set(State::Body {
                        head: Some(head),
                        body,
                        read,
                    });
                    continue;
                }
                StateProj::Body { head, body, read } => (head, body, read),
            };
            let failure = match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if read.push(data.into(), *this.limit) {
                            continue;
                        }
                        Failure::TooLong(*this.limit)
                    }
                    // Trailers have nothing to say here.
                    Err(_) => continue,
                },
                Some(Err(error)) => Failure::BrokenOff(error.into()),
                None => {
                    let head = head.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(Response::from_parts(head, Full::new(read.take()))));
                }
            };
            let head = head.take().expect("polled after it was ready");
            return Poll::Ready(if head.status == StatusCode::OK {
                Err(Box::new(CollectBodyError {
                    head,
                    read: read.take(),
                    failure,
                }))
            } else {
                Ok(Response::from_parts(head, Full::new(read.take())))
            });
        }
    }
}

/// What was read so far: mostly one frame, which is then used as it came.
#[derive(Default)]
struct Prefix {
    first: Bytes,
    rest: BytesMut,
}

impl Prefix {
    /// Adds a frame, as much of it as the limit allows. False when that was not all of it.
    fn push(&mut self, mut data: Bytes, limit: usize) -> bool {
        let room = limit - self.len();
        let fits = data.len() <= room;
        data.truncate(room);
        if self.len() == 0 {
            self.first = data;
        } else {
            if self.rest.is_empty() {
                self.rest.extend_from_slice(&self.first);
            }
            self.rest.extend_from_slice(&data);
        }
        fits
    }

    fn len(&self) -> usize {
        self.first.len().max(self.rest.len())
    }

    fn take(&mut self) -> Bytes {
        let Self { first, rest } = std::mem::take(self);
        if rest.is_empty() {
            first
        } else {
            rest.freeze()
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefix")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A 200 whose body could not be read to its end. Shows nothing of the body.
pub struct CollectBodyError {
    head: response::Parts,
    read: Bytes,
    failure: Failure,
}

#[derive(Debug)]
enum Failure {
    TooLong(usize),
    BrokenOff(BoxError),
}

impl CollectBodyError {
    /// The head of the answer.
    #[must_use]
    pub fn head(&self) -> &response::Parts {
        &self.head
    }

    /// What was read of the body. It may hold a credential.
    #[must_use]
    pub fn expose_prefix(&self) -> &Bytes {
        &self.read
    }
}

impl fmt::Display for CollectBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Failure::TooLong(limit) => write!(f, "the answer is longer than {limit} bytes"),
            Failure::BrokenOff(_) => {
                write!(f, "the answer broke off after {} bytes", self.read.len())
            }
        }
    }
}

impl fmt::Debug for CollectBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectBodyError")
            .field("status", &self.head.status)
            .field("read", &self.read.len())
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
