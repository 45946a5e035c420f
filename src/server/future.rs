//! [`ResponseFuture`], the way of a request through the API.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    Inbound, answer, collect::Collect, create_body, failure, refusal::Refusal, route::Route,
};
use crate::{ActorToken, ActorTokenRequest, BoxError};

pin_project! {
    /// A request that is read, handed to the service `S`, and answered.
    pub struct ResponseFuture<S, B, F> {
        #[pin]
        state: State<S, B, F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Reading {
            #[pin]
            body: Collect<B>,
            asked: Option<(S, Route, Parts)>,
        },
        Waiting {
            service: S,
            request: Option<ActorTokenRequest>,
        },
        Calling {
            #[pin]
            call: F,
        },
        Refused {
            refusal: Option<Refusal>,
        },
    }
}

impl<S, B, F> ResponseFuture<S, B, F> {
    pub(super) fn reading(service: S, route: Route, head: Parts, body: B) -> Self {
        let (body, asked) = (Collect::new(body), Some((service, route, head)));
        Self {
            state: State::Reading { body, asked },
        }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        let refusal = Some(refusal);
        Self {
            state: State::Refused { refusal },
        }
    }
}

/// The request that the service gets.
fn decode(route: Route, head: Parts, body: &[u8]) -> Result<ActorTokenRequest, Refusal> {
    let mut request = match route {
        Route::Create => ActorTokenRequest::create(create_body::decode(body)?),
        // A revoke has no body; what stands there all the same says nothing.
        Route::Revoke(id) => ActorTokenRequest::revoke(id),
    };
    let extensions = request.extensions_mut();
    extensions.extend(head.extensions);
    extensions.insert(Inbound::new(head.headers));
    Ok(request)
}

impl<S, B> Future for ResponseFuture<S, B, S::Future>
where
    S: Service<ActorTokenRequest, Response = ActorToken>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
{
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Reading { body, asked } => {
                    let body = ready!(body.poll(cx));
                    let (service, route, head) = asked.take().expect("polled after it was ready");
                    match body.and_then(|body| decode(route, head, &body)) {
                        Ok(request) => State::Waiting {
                            service,
                            request: Some(request),
                        },
                        Err(refusal) => State::Refused {
                            refusal: Some(refusal),
                        },
                    }
                }
                StateProjection::Waiting { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(Ok(failure::answer(&error.into())));
                    }
                    let request = request.take().expect("polled after it was ready");
                    State::Calling {
                        call: service.call(request),
                    }
                }
                StateProjection::Calling { call } => {
                    return Poll::Ready(Ok(match ready!(call.poll(cx)) {
                        Ok(token) => answer::token(&token),
                        Err(error) => failure::answer(&error.into()),
                    }));
                }
                StateProjection::Refused { refusal } => {
                    let refusal = refusal.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(refusal.into_response()));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B, F> fmt::Debug for ResponseFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Reading { .. } => "Reading",
            State::Waiting { .. } => "Waiting",
            State::Calling { .. } => "Calling",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
