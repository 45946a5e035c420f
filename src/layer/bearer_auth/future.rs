//! An attempt that waits for the key, and one that carries it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{Body, BoxError, Error, ErrorKind, KeySource, Outcome, call::Attempt};

pin_project! {
    /// An attempt that waits for the key, and one that carries it.
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Refused {
            error: Option<Error>,
        },
        // Boxed, for a provider is asked rarely, and all futures above are as large as this one.
        Asking {
            asking: Box<Asking<S>>,
        },
        Sent {
            #[pin]
            future: F,
            watch: Option<Box<Watch>>,
        },
    }
}

/// An attempt that waits for the key.
struct Asking<S> {
    key: Pin<Box<dyn Future<Output = Result<HeaderValue, BoxError>> + Send>>,
    /// The instance that was polled ready, and the request; taken when the key is there.
    waiting: Option<(S, Request<Body>)>,
    source: KeySource,
}

/// What is needed to notice that a key which can change was refused.
struct Watch {
    key: HeaderValue,
    source: KeySource,
    attempt: Option<Attempt>,
}

impl Watch {
    fn note(&self, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED && self.source.refuse(&self.key) {
            if let Some(attempt) = &self.attempt {
                attempt.note_stale_key();
            }
        }
    }
}

impl<S> ResponseFuture<S>
where
    S: Service<Request<Body>>,
{
    pub(super) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }

    pub(super) fn asking(ready: S, request: Request<Body>, source: KeySource) -> Self {
        let asking = Asking {
            key: Box::pin(source.clone().fetch()),
            waiting: Some((ready, request)),
            source,
        };
        Self {
            state: State::Asking {
                asking: Box::new(asking),
            },
        }
    }

    pub(super) fn sent(
        service: &mut S,
        request: Request<Body>,
        key: HeaderValue,
        source: &KeySource,
    ) -> Self {
        Self {
            state: send(service, request, key, source),
        }
    }
}

fn send<S>(
    service: &mut S,
    mut request: Request<Body>,
    key: HeaderValue,
    source: &KeySource,
) -> State<S, S::Future>
where
    S: Service<Request<Body>>,
{
    let watch = source.can_change().then(|| {
        Box::new(Watch {
            key: key.clone(),
            source: source.clone(),
            attempt: request.body().attempt_handle(),
        })
    });
    request.headers_mut().insert(AUTHORIZATION, key);
    State::Sent {
        future: service.call(request),
        watch,
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let sent = match this.state.as_mut().project() {
                StateProj::Refused { error } => {
                    let error = error.take().expect("polled after it was ready");
                    return Poll::Ready(Err(error.into()));
                }
                StateProj::Asking { asking } => {
                    let key = ready!(asking.key.as_mut().poll(cx)).map_err(no_key)?;
                    let waiting = asking.waiting.take();
                    let (mut service, request) = waiting.expect("polled after it was ready");
                    send(&mut service, request, key, &asking.source)
                }
                StateProj::Sent { future, watch } => {
                    let polled = future.poll(cx);
                    if let (Poll::Ready(Ok(response)), Some(watch)) = (&polled, watch) {
                        watch.note(response.status());
                    }
                    return polled.map_err(Into::into);
                }
            };
            this.state.set(sent);
        }
    }
}

fn no_key(error: BoxError) -> Error {
    Error::new(ErrorKind::Key, Outcome::NotSent)
        .permanent(true)
        .with_source(error)
}

impl<S> fmt::Debug for ResponseFuture<S>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
