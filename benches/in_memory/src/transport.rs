//! A transport that responds at once, and services made of it in place of the lower layers.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, Payload, TokenResponse};
use http::{Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::Full;
use tower_service::Service;

/// Reads the request body frame by frame and responds with constant bytes. It allocates nothing.
#[derive(Clone)]
pub(crate) struct InMemory {
    status: StatusCode,
    body: Bytes,
}

impl InMemory {
    pub(crate) fn responding(status: StatusCode, body: Bytes) -> Self {
        Self { status, body }
    }

    fn respond<B: HttpBody>(&self, request: Request<B>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        black_box(&head);
        let mut body = pin!(body);
        let mut cx = Context::from_waker(Waker::noop());
        // Like hyper, which does not poll an empty body.
        while !body.is_end_stream() {
            match body.as_mut().poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => drop(black_box(frame)),
                _ => break,
            }
        }
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        response
    }
}

impl<B: HttpBody> Service<Request<B>> for InMemory {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(request).map(Full::new)))
    }
}

/// [`InMemory`] in place of CollectBody or Settle, without a streaming body.
pub(crate) struct InOnePiece<B> {
    inner: InMemory,
    make_body: fn(Bytes) -> B,
}

impl<B> Clone for InOnePiece<B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            make_body: self.make_body,
        }
    }
}

impl InMemory {
    pub(crate) fn collected(self) -> InOnePiece<Bytes> {
        InOnePiece {
            inner: self,
            make_body: |bytes| bytes,
        }
    }

    pub(crate) fn settled(self) -> InOnePiece<TokenResponse> {
        InOnePiece {
            inner: self,
            make_body: TokenResponse::new,
        }
    }
}

impl<B> Service<Request<Body>> for InOnePiece<B> {
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Ready<Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(self.inner.respond(request).map(self.make_body)))
    }
}

/// Begins attempts, like DecodeError.
#[derive(Clone)]
pub(crate) struct BeginAttempts<S>(pub(crate) S);

impl<S: Service<Request<Body>>> Service<Request<Payload>> for BeginAttempts<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Payload>) -> S::Future {
        self.0.call(request.map(Payload::begin_attempt))
    }
}

/// [`InMemory`] that responds when its gate is open. It does not wake the task.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) inner: InMemory,
    pub(crate) open: Arc<AtomicBool>,
}

pub(crate) struct Waiting {
    response: Ready<Result<Response<Full<Bytes>>, Infallible>>,
    open: Arc<AtomicBool>,
}

impl<B: HttpBody> Service<Request<B>> for Gated {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Waiting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Waiting {
        Waiting {
            response: self.inner.call(request),
            open: Arc::clone(&self.open),
        }
    }
}

impl Future for Waiting {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.open.load(Relaxed) {
            Pin::new(&mut self.response).poll(cx)
        } else {
            Poll::Pending
        }
    }
}
