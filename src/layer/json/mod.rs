//! Encodes an operation once, and decodes a 200 once.
//!
//! # Position
//!
//! Between the two levels. It stands above retry, so that encoding is not repeated, and so that a
//! 200 whose JSON does not decode can never be sent again: the token behind it exists.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use clerk_actor_tokens::{ActorTokenRequest, ActorTokenStatus, Body, BoxError, layer::JsonLayer};
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new().layer(JsonLayer::new()).service_fn(
//!     |request: Request<Body>| async move {
//!         assert_eq!(request.uri(), "/actor_tokens/act_1/revoke");
//!         let answer = Bytes::from(r#"{"id":"act_1","status":"revoked"}"#);
//!         Ok::<_, BoxError>(Response::new(Full::new(answer)))
//!     },
//! );
//! let request = ActorTokenRequest::revoke("act_1".parse()?);
//! let token = service.ready().await?.call(request).await?;
//! assert_eq!(token.status(), &ActorTokenStatus::Revoked);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the attempts below, nothing else. A token that it delivered is revoked
//! when its [`Ticket`](crate::Ticket) is dropped unread, if [`SettleLayer`](super::SettleLayer) stands
//! below.

mod encode;
mod expected;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::encode::CREATE_PATH;
use self::expected::Expected;
use crate::{ActorToken, ActorTokenRequest, Body, BoxError, Error, Outcome, call::Progress};

/// Layer of [`Json`].
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLayer {
    trusts_headers: bool,
}

impl JsonLayer {
    /// The layer; it has nothing to configure.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes what carries the headers that layers below gave a request before.
    pub(crate) fn trusting_headers() -> Self {
        Self {
            trusts_headers: true,
        }
    }
}

impl<S> Layer<S> for JsonLayer {
    type Service = Json<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Json {
            inner,
            trusts_headers: self.trusts_headers,
        }
    }
}

/// Encodes an operation and decodes its answer, see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Json<S> {
    inner: S,
    trusts_headers: bool,
}

impl<S> Service<ActorTokenRequest> for Json<S>
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = ActorToken;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        let progress = Arc::clone(request.call().progress());
        match encode::encode(request, self.trusts_headers) {
            Ok((request, expected)) => ResponseFuture {
                inner: Some(self.inner.call(request)),
                expected: Some(expected),
                refusal: None,
                progress,
            },
            Err(error) => {
                // What was polled ready is let go, so that its capacity is free for others.
                self.inner = self.inner.clone();
                ResponseFuture {
                    inner: None,
                    expected: None,
                    refusal: Some(error),
                    progress,
                }
            }
        }
    }
}

pin_project! {
    /// The attempts below, and what their answer must be about.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        expected: Option<Expected>,
        refusal: Option<Error>,
        progress: Arc<Progress>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.expected.is_some() {
                // An answer may be on its way up, and somebody may keep the request.
                drop(this.progress.take_guards());
            }
        }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Full<Bytes>>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<ActorToken, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let error = this.refusal.take().expect("polled after it was ready");
            return Poll::Ready(Err(error.into()));
        };
        let answer = ready!(inner.poll(cx));
        let expected = this.expected.take().expect("polled after it was ready");
        // Dropped before its token is found, a guard settles what was minted.
        let guards = this.progress.take_guards();
        let answer = match answer {
            Ok(answer) => answer.into_body().into_inner().unwrap_or_default(),
            Err(error) => return Poll::Ready(expected.converge(error.into(), this.progress)),
        };
        let mut token = expected.decode(&answer);
        if let Ok(token) = &mut token {
            this.progress.note(Outcome::Applied);
            guards.for_each(|guard| token.guard_by(guard, &answer));
        }
        Poll::Ready(token)
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of what is below, which may hold an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
