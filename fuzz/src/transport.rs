//! Transports whose responses are fuzzed.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError};
use http::{Request, Response, Uri};
use http_body::Frame;
use tower::util::{ServiceFn, service_fn};

use crate::response::FuzzResponse;

/// The end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    Error,
    Never,
}

/// A response body in frames of at most `piece` bytes.
pub struct Frames {
    left: Bytes,
    piece: usize,
    end: End,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left.is_empty() {
            return match self.end {
                End::Complete => Poll::Ready(None),
                End::Error => Poll::Ready(Some(Err("connection lost".into()))),
                End::Never => Poll::Pending,
            };
        }
        let piece = self.piece.min(self.left.len());
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))))
    }
}

impl FuzzResponse {
    pub fn response(&self, piece: usize, end: End) -> Response<Frames> {
        let mut response = Response::new(Frames {
            left: self.body.clone(),
            piece: piece.max(1),
            end,
        });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

type Ready = std::future::Ready<Result<Response<Frames>, BoxError>>;

/// Reads every request and responds in one frame.
pub fn responding(
    response: FuzzResponse,
) -> ServiceFn<impl Fn(Request<Body>) -> Ready + Clone + Send + Sync + 'static> {
    let response = Arc::new(response);
    service_fn(move |request: Request<Body>| {
        let _ = request.into_body().into_bytes();
        std::future::ready(Ok(response.response(usize::MAX, End::Complete)))
    })
}

/// Records the URI of every request and responds with a 404.
pub fn recording(
    seen: &Arc<Mutex<Vec<Uri>>>,
) -> ServiceFn<impl Fn(Request<Body>) -> Ready + Clone + Send + Sync + 'static> {
    let seen = Arc::clone(seen);
    let response = Arc::new(FuzzResponse::new(304, b""));
    service_fn(move |request: Request<Body>| {
        seen.lock().unwrap().push(request.uri().clone());
        let _ = request.into_body().into_bytes();
        std::future::ready(Ok(response.response(usize::MAX, End::Complete)))
    })
}
