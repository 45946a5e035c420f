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
use crate::{
    BoxError,
    call::{Attempt, Prefix},
    layer::decode_error,
};

pin_project! {
    /// The exchange below: first its head, then its body.
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        limit: usize,
        attempt: Attempt,
        // How many layers read the answer from here on up.
        readers: u8,
        // What was read of an answer that a layer below read, too: the attempt keeps what that read.
        own: Option<Box<Prefix>>,
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
            // Kept here only while the body is still to come, for all futures above are as large as this.
            head: Option<Box<response::Parts>>,
            #[pin]
            body: B,
        },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn new(future: F, limit: usize, attempt: Attempt, readers: u8) -> Self {
        Self {
            state: State::Head { future },
            limit,
            attempt,
            readers,
            own: None,
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
        // Mostly the body comes along with it.
        let mut new_head = None;
        loop {
            let (kept_head, mut body) = match this.state.as_mut().project() {
                StateProj::Head { future } => {
                    let (head, body) = ready!(future.poll(cx)).map_err(Into::into)?.into_parts();
                    this.attempt.note_status(head.status);
                    *this.own = this.attempt.is_read_below(*this.readers).then(Box::default);
                    new_head = Some(head);
                    this.state.set(State::Body { head: None, body });
                    continue;
                }
                StateProj::Body { head, body } => (head, body),
            };
            let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
                if let Some(head) = new_head {
                    if head.status != StatusCode::OK {
                        this.attempt.note_hints(decode_error::hints(&head.headers));
                    }
                    *kept_head = Some(Box::new(head));
                }
                return Poll::Pending;
            };
            let (read, failure) = match frame {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        // Trailers have nothing to say here.
                        continue;
                    };
                    let (data, ended) = (data.into(), body.is_end_stream());
                    let push = |read: &mut Prefix| {
                        let fits = read.push(data, *this.limit);
                        (!fits || ended).then(|| (read.take(), fits))
                    };
                    let ended = match this.own {
                        Some(own) => push(own),
                        None => push(&mut this.attempt.read()),
                    };
                    let Some((read, fits)) = ended else {
                        continue;
                    };
                    (read, (!fits).then_some(Failure::TooLong(*this.limit)))
                }
                Some(Err(error)) => {
                    let broken_off = Failure::BrokenOff(error.into());
                    (take(this.attempt, this.own), Some(broken_off))
                }
                None => (take(this.attempt, this.own), None),
            };
            let head = new_head.or_else(|| kept_head.take().map(|head| *head));
            let head = head.expect("polled after it was ready");
            return Poll::Ready(match failure {
                Some(failure) if head.status == StatusCode::OK => {
                    Err(CollectBodyError::new(head, read, failure).into())
                }
                _ => Ok(Response::from_parts(head, Full::new(read))),
            });
        }
    }
}

/// What was read of the answer's body.
fn take(attempt: &Attempt, own: &mut Option<Box<Prefix>>) -> Bytes {
    match own {
        Some(own) => own.take(),
        None => attempt.read().take(),
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

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible, future::ready, task::Waker};

    use http::Request;
    use http_body::Frame;
    use tower_layer::Layer;
    use tower_service::Service;

    use super::*;
    use crate::{Body, OperationKind, layer::CollectBodyLayer};

    /// Frames, `None` where the next one is still to come. Its end is known with the last of them.
    struct Frames(VecDeque<Option<&'static str>>);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front().expect("asked after its end was known") {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
                None => Poll::Pending,
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    type Answer = Result<Response<Full<Bytes>>, BoxError>;

    /// Sends a request that is answered in these frames, and polls for the answer when called.
    fn send(
        request: Request<Body>,
        frames: &[Option<&'static str>],
    ) -> impl FnMut() -> Poll<Answer> {
        let mut answer = Some(Response::new(Frames(frames.iter().copied().collect())));
        let exchange = tower::service_fn(move |_| ready(Ok::<_, BoxError>(answer.take().unwrap())));
        let mut attempt = Box::pin(CollectBodyLayer::default().layer(exchange).call(request));
        move || {
            attempt
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        }
    }

    fn text(answer: Poll<Answer>) -> String {
        let Poll::Ready(Ok(answer)) = answer else {
            panic!("no answer");
        };
        let cx = &mut Context::from_waker(Waker::noop());
        match Pin::new(&mut answer.into_body()).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                String::from_utf8(frame.into_data().unwrap().into()).unwrap()
            }
            _ => String::new(),
        }
    }

    #[test]
    fn a_body_is_not_asked_for_more_than_there_is() {
        let request = Request::new(Body::new(OperationKind::Create, "{}"));
        let mut poll = send(request, &[Some("a"), None, Some("b")]);
        assert!(poll().is_pending());
        assert_eq!(text(poll()), "ab");
    }

    #[test]
    fn a_request_that_is_sent_twice_at_once_gets_two_answers() {
        let mut request = Request::new(Body::new(OperationKind::Revoke, ""));
        request.body_mut().begin_attempt();
        let mut one = send(request.clone(), &[Some("a"), None, Some("b")]);
        let mut other = send(request, &[Some("c"), None, Some("d")]);
        assert!(one().is_pending() && other().is_pending());
        assert_eq!((text(one()), text(other())), ("ab".into(), "cd".into()));
    }
}
