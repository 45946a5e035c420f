//! Turns every failure of a call into one [`Error`] with its outcome.
//!
//! # Position
//!
//! Above the call layers of users and below the observers. The error of a user's layer becomes the
//! [`source`](std::error::Error::source), and its outcome is that of the call's attempts.
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
//! Dropping the future drops the inner future. After that, no task that a layer below has spawned can
//! send the request, except a revoke that may already have taken effect.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::timeout::TimedOut;
use crate::{
    ActorTokenRequest, BoxError, Error, ErrorKind, OperationKind, Outcome, call::CallRecord,
};

/// Layer of [`TypedError`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TypedErrorLayer(());

impl TypedErrorLayer {
    /// Creates the layer.
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

/// Turns every failure of a call into one [`Error`], see the [module](self).
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
        // A record in the request belongs to an observer or an outer client.
        let record = CallRecord::inside(request.record.take());
        request.record = Some(Arc::clone(&record));
        let kind = request.operation().kind();
        ResponseFuture {
            inner: Some(self.inner.call(request)),
            kind,
            record,
        }
    }
}

/// Returns an error of this crate as it is, and the error of another layer as a source.
fn typed(error: BoxError, outcome: Outcome) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => match error.downcast_ref::<TimedOut>() {
            Some(time) => Error::new(ErrorKind::Timeout, outcome).with_detail(time.to_string()),
            None => Error::new(ErrorKind::Foreign, outcome).with_source(error),
        },
    }
}

pin_project! {
    /// The future of [`TypedError`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        kind: OperationKind,
        record: Arc<CallRecord>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                this.inner.set(None);
                this.record.close();
            }
        }
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
        let inner = this.inner.as_mut().as_pin_mut();
        let result = ready!(inner.expect("polled after it was ready").poll(cx));
        // Dropped before the record is read, so that no attempt changes the outcome later.
        this.inner.set(None);
        Poll::Ready(result.map_err(|error| complete(error.into(), *this.kind, this.record)))
    }
}

/// Adds the facts of the record to the error, and an effect that the error shows to the record.
pub(crate) fn complete(error: BoxError, kind: OperationKind, record: &CallRecord) -> Error {
    let summary = record.close();
    let error = typed(error, summary.outcome);
    let outcome = match error.kind() {
        // The status of the token is known, whatever earlier attempts did.
        ErrorKind::AlreadyAccepted | ErrorKind::AlreadyRevoked | ErrorKind::NotRevoked => {
            error.outcome()
        }
        _ => error.outcome().max(summary.outcome),
    };
    let exposed_until = (outcome >= Outcome::Unknown).then(|| summary.exposed_until());
    let attempts = summary.attempts.max(error.attempts());
    let settling = error.is_settling() || summary.is_settling;
    let id = error.actor_token_id().cloned().or(summary.lost);
    if outcome == Outcome::Applied {
        match &id {
            Some(id) if kind == OperationKind::Create => record.note_lost(id),
            _ => record.note_applied(),
        }
    }
    error
        .with_outcome(outcome)
        .with_attempts(attempts)
        .with_settling(settling)
        .with_actor_token_id(id)
        .with_exposed_until(exposed_until.flatten())
}
