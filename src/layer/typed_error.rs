//! Turns every failure of a call into one [`Error`] with its outcome.
//!
//! # Position
//!
//! Above the call layers of users and below the observers. The error of a user's layer becomes the
//! [`source`](std::error::Error::source), and its outcome is that of the call's attempts.
//!
//! The service is always ready, and its future waits for the inner service. So observers see every call,
//! also one that is dropped while a call layer is not ready. The layers above see no backpressure: tower's
//! `LoadShed` belongs directly above the limit that it watches, on the same level.
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
//! Dropping the future drops the inner future, or ends the wait for the inner service. After that, no
//! task that a layer below has spawned can send the request, except a revoke that may already have taken
//! effect.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use pin_project_lite::pin_project;
use tower::{ServiceExt, util::Oneshot};
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
    S: Service<ActorTokenRequest> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    /// Is always ready, because the future waits for the inner service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        // A record in the request belongs to an observer or an outer client.
        let record = CallRecord::inside(request.record.take());
        request.record = Some(Arc::clone(&record));
        let kind = request.operation().kind();
        // Polled once without a task, so that a service that is ready is not cloned.
        let mut cx = Context::from_waker(Waker::noop());
        let state = match self.inner.poll_ready(&mut cx) {
            Poll::Ready(Ok(())) => State::Called {
                inner: self.inner.call(request),
            },
            Poll::Ready(Err(error)) => State::Ended {
                error: Some(error.into()),
            },
            Poll::Pending => {
                // The future polls this instance again, which keeps its place in a queue.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone).oneshot(request);
                State::Waiting { inner }
            }
        };
        ResponseFuture {
            state,
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
    pub struct ResponseFuture<S: Service<ActorTokenRequest>> {
        #[pin]
        state: State<S>,
        kind: OperationKind,
        record: Arc<CallRecord>,
    }

    impl<S: Service<ActorTokenRequest>> PinnedDrop for ResponseFuture<S> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !matches!(*this.state, State::Ended { error: None }) {
                this.state.set(State::Ended { error: None });
                this.record.close();
            }
        }
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<ActorTokenRequest>> {
        Called {
            #[pin]
            inner: S::Future,
        },
        Waiting {
            #[pin]
            inner: Oneshot<S, ActorTokenRequest>,
        },
        // The error of `poll_ready`, until it is returned.
        Ended {
            error: Option<BoxError>,
        },
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<ActorTokenRequest, Error: Into<BoxError>>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.state.as_mut().project() {
            StateProjection::Called { inner } => ready!(inner.poll(cx)).map_err(Into::into),
            StateProjection::Waiting { inner } => ready!(inner.poll(cx)).map_err(Into::into),
            StateProjection::Ended { error } => {
                Err(error.take().expect("polled after it was ready"))
            }
        };
        // Dropped before the record is read, so that no attempt changes the outcome later.
        this.state.set(State::Ended { error: None });
        Poll::Ready(result.map_err(|error| complete(error, *this.kind, this.record)))
    }
}

crate::text::opaque_debug!(ResponseFuture<S> where S: Service<ActorTokenRequest>);

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
