//! The exchange below: first its head, then its body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode, response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::{
    error::{CollectBodyError, Failure},
    prefix::Prefix,
};
use crate::{BoxError, call::Attempt};

pin_project! {
    /// The exchange below: first its head, then its body.
    #[derive(Debug)]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        limit: usize,
        attempt: Option<Arc<Attempt>>,
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

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn new(future: F, limit: usize, attempt: Option<Arc<Attempt>>) -> Self {
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
            let (head, body, read) = match this.state.as_mut().project() {
                StateProj::Head { future } => {
                    let (head, body) = ready!(future.poll(cx)).map_err(Into::into)?.into_parts();
                    if let Some(attempt) = this.attempt {
                        attempt.note_status(head.status);
                    }
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
                Err(Box::new(CollectBodyError::new(head, read.take(), failure)))
            } else {
                Ok(Response::from_parts(head, Full::new(read.take())))
            });
        }
    }
}
