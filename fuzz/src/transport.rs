//! A transport that does what the fuzzed bytes say.

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

use crate::answer::Answer;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Whole,
    Broken,
    Never,
}

/// A response body in pieces.
pub struct Pieces {
    left: Bytes,
    piece: usize,
    end: End,
}

impl Pieces {
    pub fn new(body: Bytes, piece: usize, end: End) -> Self {
        Self {
            left: body,
            piece: piece.max(1),
            end,
        }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left.is_empty() {
            return match self.end {
                End::Whole => Poll::Ready(None),
                End::Broken => Poll::Ready(Some(Err("the connection broke".into()))),
                End::Never => Poll::Pending,
            };
        }
        let piece = self.piece.min(self.left.len());
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))))
    }
}

impl Answer {
    pub fn response(&self, piece: usize, end: End) -> Response<Pieces> {
        let mut response = Response::new(Pieces::new(self.body.clone(), piece, end));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

type Ready = std::future::Ready<Result<Response<Pieces>, BoxError>>;

/// Takes every request and answers it with `answer` in one piece.
pub fn answering(
    answer: Answer,
) -> ServiceFn<impl Fn(Request<Body>) -> Ready + Clone + Send + Sync + 'static> {
    let answer = Arc::new(answer);
    service_fn(move |request: Request<Body>| {
        let _ = request.into_body().into_bytes();
        std::future::ready(Ok(answer.response(usize::MAX, End::Whole)))
    })
}

/// Takes every request, keeps where it went, and refuses it.
pub fn noting(
    seen: &Arc<Mutex<Vec<Uri>>>,
) -> ServiceFn<impl Fn(Request<Body>) -> Ready + Clone + Send + Sync + 'static> {
    let seen = Arc::clone(seen);
    let answer = Arc::new(Answer::new(304, b""));
    service_fn(move |request: Request<Body>| {
        seen.lock()
            .expect("nobody panics with it")
            .push(request.uri().clone());
        let _ = request.into_body().into_bytes();
        std::future::ready(Ok(answer.response(usize::MAX, End::Whole)))
    })
}
