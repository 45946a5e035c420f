//! The future of [`BearerAuth`](super::BearerAuth).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{Body, BoxError, Error, ErrorKind, KeySource, Outcome};

/// A response extension: the API refused a key that may have been rotated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StaleKey;

pin_project! {
    /// The future of [`BearerAuth`](super::BearerAuth).
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
        // Boxed, because a provider is asked rarely.
        Asking {
            asking: Box<Asking<S>>,
        },
        Sent {
            #[pin]
            future: F,
            // The key, if it can be rotated.
            key: Option<(HeaderValue, KeySource)>,
        },
    }
}

/// An attempt that waits for the key provider.
struct Asking<S> {
    key: Pin<Box<dyn Future<Output = Result<HeaderValue, BoxError>> + Send>>,
    /// The instance that was polled ready, and the request; taken when the key is there.
    waiting: Option<(S, Request<Body>)>,
    source: KeySource,
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
    let rotatable = source.can_change().then(|| (key.clone(), source.clone()));
    request.headers_mut().insert(AUTHORIZATION, key);
    State::Sent {
        future: service.call(request),
        key: rotatable,
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
                StateProj::Sent { future, key } => {
                    let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                    if response.status() == StatusCode::UNAUTHORIZED {
                        let is_stale = key.as_ref().is_some_and(|(key, it)| it.refuse(key));
                        if is_stale {
                            response.extensions_mut().insert(StaleKey);
                        }
                    }
                    return Poll::Ready(Ok(response));
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
