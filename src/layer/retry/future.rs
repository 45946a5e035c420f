//! The attempts of one call, and the pauses between them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Request;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::{repeat::Repeat, session::Session};
use crate::{Body, BoxError, runtime};

pin_project! {
    /// The attempts of one call, and the pauses between them.
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S::Future>,
        next: Option<Repeat<S>>,
        session: Session,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Attempt {
            #[pin]
            future: F,
        },
        // What the attempt before failed with is the last word, if no other begins.
        Pause {
            #[pin]
            timer: Sleep,
            over: bool,
            error: Option<BoxError>,
        },
    }
}

impl<S> ResponseFuture<S>
where
    S: Service<Request<Body>>,
{
    /// Begins with an attempt; `next` makes those that may follow.
    pub(super) fn new(first: S::Future, next: Option<Repeat<S>>, session: Session) -> Self {
        Self {
            state: State::Attempt { future: first },
            next,
            session,
        }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request<Body>> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Attempt { future } => match ready!(future.poll(cx)) {
                    Ok(response) => {
                        this.session.succeeded();
                        return Poll::Ready(Ok(response));
                    }
                    Err(error) => {
                        let mut error = error.into();
                        let next = this.session.next_attempt_at(&mut error);
                        // Without timers there are no pauses, and so no further attempts.
                        match next.map(runtime::sleep_until) {
                            Some(Ok(timer)) => this.state.set(State::Pause {
                                timer,
                                over: false,
                                error: Some(error),
                            }),
                            _ => {
                                this.session.failed(&error);
                                return Poll::Ready(Err(error));
                            }
                        }
                    }
                },
                StateProj::Pause {
                    mut timer,
                    over,
                    error,
                } => {
                    let end = this.session.end();
                    if !*over {
                        ready!(timer.as_mut().poll(cx));
                        *over = true;
                        // The service may keep it waiting until it is too late.
                        if let Some(end) = end {
                            timer.as_mut().reset(end);
                        }
                    }
                    let next = this.next.as_mut().expect("kept while another may follow");
                    match next.poll_ready(cx).map_err(Into::into)? {
                        Poll::Ready(()) if !this.session.is_over() => {
                            let future = next.call();
                            this.state.set(State::Attempt { future });
                        }
                        Poll::Pending if end.is_none() || timer.poll(cx).is_pending() => {
                            return Poll::Pending;
                        }
                        _ => {
                            let error = error.take().expect("polled after it was ready");
                            this.session.failed(&error);
                            return Poll::Ready(Err(error));
                        }
                    }
                }
            }
        }
    }
}

impl<S> std::fmt::Debug for ResponseFuture<S>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
