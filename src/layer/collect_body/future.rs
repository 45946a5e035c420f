//! The exchange below: first its head, then its body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode, response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::error::{CollectBodyError, Failure};
use crate::{BoxError, call::Attempt};

pin_project! {
    /// The exchange below: first its head, then its body.
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
        },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn new(future: F, limit: usize, attempt: Attempt) -> Self {
        Self {
            state: State::Head { future },
            limit,
            attempt,
        }
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
            let (head, body) = match this.state.as_mut().project() {
                StateProj::Head { future } => {
                    let (head, body) = ready!(future.poll(cx)).map_err(Into::into)?.into_parts();
                    this.attempt.note_status(head.status);
                    let head = Some(head);
                    this.state.set(State::Body { head, body });
                    continue;
                }
                StateProj::Body { head, body } => (head, body),
            };
            let failure = match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if this.attempt.read().push(data.into(), *this.limit) {
                            continue;
                        }
                        Some(Failure::TooLong(*this.limit))
                    }
                    // Trailers have nothing to say here.
                    Err(_) => continue,
                },
                Some(Err(error)) => Some(Failure::BrokenOff(error.into())),
                None => None,
            };
            let head = head.take().expect("polled after it was ready");
            let read = this.attempt.read().take();
            return Poll::Ready(match failure {
                Some(failure) if head.status == StatusCode::OK => {
                    Err(CollectBodyError::new(head, read, failure).into())
                }
                _ => Ok(Response::from_parts(head, Full::new(read))),
            });
        }
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    /// Shows nothing of what is below, which may hold an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("limit", &self.limit)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
