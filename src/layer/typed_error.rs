//! Turns whatever fails below into one [`Error`] with its outcome.
//!
//! # Position
//!
//! Outermost, above the call layers of users: their errors have an outcome too, told by what became
//! of the call's attempts, and come through as [`source`](std::error::Error::source).
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{ActorTokenRequest, BoxError, ErrorKind, Outcome, layer::TypedErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut service = ServiceBuilder::new()
//!     .layer(TypedErrorLayer::new())
//!     .service_fn(|_: ActorTokenRequest| async { Err::<(), _>(BoxError::from("no capacity")) });
//! let request = ActorTokenRequest::revoke("act_1".parse().unwrap());
//! let error = service.ready().await.unwrap().call(request).await.unwrap_err();
//! assert_eq!((error.kind(), error.outcome()), (ErrorKind::Foreign, Outcome::NotSent));
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the call below, nothing else.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::timeout::TimedOut;
use crate::{
    ActorTokenRequest, BoxError, Error, ErrorKind, Outcome, call::Progress, runtime::NoRuntime,
};

/// Layer of [`TypedError`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TypedErrorLayer(());

impl TypedErrorLayer {
    /// The layer; it has nothing to configure.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for TypedErrorLayer {
    type Service = TypedError<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TypedError { inner }
    }
}

/// Turns whatever fails below into one [`Error`], see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct TypedError<S> {
    inner: S,
}

impl<S> Service<ActorTokenRequest> for TypedError<S>
where
    S: Service<ActorTokenRequest>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| typed(error.into(), Outcome::NotSent))
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        let progress = Arc::clone(request.call_mut().watch());
        ResponseFuture {
            inner: Some(self.inner.call(request)),
            progress,
        }
    }
}

/// An error that this crate typed, or one of a layer that it does not know.
fn typed(error: BoxError, outcome: Outcome) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => match error.downcast::<TimedOut>() {
            Ok(time) => Error::new(ErrorKind::Timeout, outcome).with_detail(time.to_string()),
            Err(error) => match error.downcast::<NoRuntime>() {
                Ok(why) => Error::new(ErrorKind::Runtime, outcome).with_detail(why.to_string()),
                Err(error) => Error::new(ErrorKind::Foreign, outcome).with_source(error),
            },
        },
    }
}

pin_project! {
    /// The call below, on its way to a typed error.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        progress: Arc<Progress>,
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this
            .inner
            .as_mut()
            .as_pin_mut()
            .expect("polled after it was ready");
        let polled = inner.poll(cx);
        if polled.is_pending() {
            return Poll::Pending;
        }
        // An attempt that is still held below, or by a task, is given up before the question is put
        // whether it was sent, so that the answer stays true.
        this.inner.set(None);
        polled.map_err(|error| {
            let account = this.progress.end();
            let outcome = account.outcome;
            let error = typed(error.into(), outcome);
            let outcome = match error.kind() {
                // What the token's status is settles every earlier doubt.
                ErrorKind::AlreadyAccepted | ErrorKind::AlreadyRevoked => error.outcome(),
                _ => error.outcome().max(outcome),
            };
            let attempts = account.attempts.max(error.attempts());
            let settling = error.is_settling() || account.is_followed;
            let exposed = (outcome >= Outcome::Unknown).then(|| account.exposed_until());
            let lost = error.actor_token_id().cloned().or(account.lost);
            error
                .with_outcome(outcome)
                .with_attempts(attempts)
                .with_settling(settling)
                .with_actor_token_id(lost)
                .with_exposed_until(exposed.flatten())
        })
    }
}
