//! [`InMemory`], a transport that answers at once, and [`Gated`], one that waits to be told.

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
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

/// Reads the request's body as a transport does, frame by frame, and answers with the same bytes
/// every time. It allocates nothing.
#[derive(Clone)]
pub(crate) struct InMemory {
    status: StatusCode,
    answer: Bytes,
}

impl InMemory {
    pub(crate) fn answering(status: StatusCode, answer: Bytes) -> Self {
        Self { status, answer }
    }
}

impl<B: Body> Service<Request<B>> for InMemory {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        black_box(&head);
        let mut body = pin!(body);
        let mut cx = Context::from_waker(Waker::noop());
        // A transport asks first, for an empty body needs no reading.
        while !body.is_end_stream() {
            match body.as_mut().poll_frame(&mut cx) {
                Poll::Ready(Some(frame)) => drop(black_box(frame)),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        let mut response = Response::new(Full::new(self.answer.clone()));
        *response.status_mut() = self.status;
        ready(Ok(response))
    }
}

/// Answers like [`InMemory`], but only while its gate is open. Polling again is up to the caller.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) inner: InMemory,
    pub(crate) open: Arc<AtomicBool>,
}

/// The answer behind the gate.
pub(crate) struct Waiting {
    answer: Ready<Result<Response<Full<Bytes>>, Infallible>>,
    open: Arc<AtomicBool>,
}

impl<B: Body> Service<Request<B>> for Gated {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Waiting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Waiting {
        Waiting {
            answer: self.inner.call(request),
            open: Arc::clone(&self.open),
        }
    }
}

impl Future for Waiting {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.open.load(Relaxed) {
            Pin::new(&mut self.answer).poll(cx)
        } else {
            Poll::Pending
        }
    }
}
