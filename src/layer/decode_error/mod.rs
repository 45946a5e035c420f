//! Turns every failure of an attempt into one [`Error`] with its [`Outcome`].
//!
//! # Position
//!
//! Below retry, so that retry decides on facts, and above the attempt's time-out, whose error it
//! classifies, too. It begins the attempt: from here on down the [`Body`] notes whether the transport
//! took it. A 200 passes through untouched.
//!
//! | what came | outcome |
//! |---|---|
//! | connecting failed, or the body was never taken | [`Outcome::NotSent`] |
//! | 4xx | [`Outcome::Rejected`] |
//! | 5xx, a status that this API never gives, a failure after the body was taken | [`Outcome::Unknown`] |
//! | a 200 that broke off or is too long | [`Outcome::Applied`] once the id of a token came, before that [`Outcome::Unknown`] |
//! | an error whose body did not end in time | as its status; `Retry-After` and trace id count, too |
//! | an [`Error`] that a layer below made | as it says, but of a create that was sent at least [`Outcome::Unknown`] |
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use clerk_actor_tokens::{Body, BoxError, Error, OperationKind, Outcome, layer::DecodeErrorLayer};
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new().layer(DecodeErrorLayer::new()).service_fn(
//!     |_: Request<Body>| async {
//!         let answer = Bytes::from(r#"{"errors":[{"code":"clerk_key_invalid"}]}"#);
//!         Ok::<_, BoxError>(Response::builder().status(401).body(Full::new(answer))?)
//!     },
//! );
//! let request = Request::new(Body::new(OperationKind::Create, "{}"));
//! let error = service.ready().await?.call(request).await.unwrap_err();
//! let error = error.downcast::<Error>().unwrap();
//! assert_eq!((error.outcome(), error.code()), (Outcome::Rejected, Some("clerk_key_invalid")));
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future takes the body back: if the transport has not taken it by then, it never
//! will, and the attempt provably had no effect.

mod answer;
mod evidence;
mod retry_after;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::answer::{hints, outcome as outcome_of_status, trace_id};
use crate::{Body, BoxError, Error, OperationKind, Outcome, call::Attempt};

/// Layer of [`DecodeError`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeErrorLayer(());

impl DecodeErrorLayer {
    /// The layer; it has nothing to configure.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for DecodeErrorLayer {
    type Service = DecodeError<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DecodeError { inner }
    }
}

/// Turns every failure of an attempt into one [`Error`], see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct DecodeError<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for DecodeError<S>
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| evidence::classify(error.into(), None).into())
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let attempt = request.body_mut().begin_attempt();
        ResponseFuture {
            inner: Some(self.inner.call(request)),
            attempt,
        }
    }
}

/// The outcome that the failure of an exchange proves to the layer that settles it.
pub(crate) fn outcome(error: &BoxError, attempt: &Attempt) -> Outcome {
    let unseen = attempt.has_unseen();
    let sent = (attempt.withdraw() || unseen).then(|| attempt.kind());
    match error.downcast_ref::<Error>() {
        Some(typed) => evidence::believed(typed.outcome(), sent),
        None => {
            let typed = evidence::describe(&**error, sent);
            if unseen {
                evidence::believed(typed.outcome(), sent)
            } else {
                answer::complete(typed, attempt).outcome()
            }
        }
    }
}

pin_project! {
    /// An attempt below, on its way to an answer or a typed error.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        attempt: Attempt,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Whoever holds it below is to let go of it before it is given up.
            this.inner.set(None);
            // Mostly it has ended, and so is never sent again.
            if !this.attempt.has_ended() && this.attempt.give_up() {
                match this.attempt.status() {
                    Some(status) if !this.attempt.is_repeated() => {
                        this.attempt.end(answer::outcome(status));
                    }
                    _ => {}
                }
            }
        }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Full<Bytes>>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Full<Bytes>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let polled = ready!(inner.expect("polled after it was ready").poll(cx));
        let error = match polled {
            Ok(response) if response.status() == StatusCode::OK => {
                // Until its body is read, nobody knows whether it is an answer of the API.
                this.attempt.end(Outcome::Unknown);
                return Poll::Ready(Ok(response));
            }
            Ok(response) => {
                // The mark may be of an exchange before this one.
                let stale = response.status() == StatusCode::UNAUTHORIZED;
                answer::decode(response).with_stale_key(stale && this.attempt.has_stale_key())
            }
            Err(error) => {
                // A layer below may have given up what a transport still holds.
                this.inner.set(None);
                let sent = (this.attempt.give_up()).then(|| this.attempt.kind());
                // What is known of one exchange says nothing of another.
                let repeated = this.attempt.is_repeated();
                let mut error = evidence::classify(error.into(), sent);
                if !repeated {
                    error = answer::complete(error, this.attempt);
                }
                // A refusal, or a failure of the API, ends what could be settled.
                let may_land =
                    repeated || this.attempt.status().is_none_or(|it| it == StatusCode::OK);
                let settling = error.is_timeout() && may_land && this.attempt.is_followed();
                error.with_settling(settling)
            }
        };
        let mut outcome = error.outcome();
        if this.attempt.is_repeated() && this.attempt.kind() == OperationKind::Create {
            // Of the exchanges that a layer below made, those that nobody settles are in doubt.
            outcome = outcome.max(this.attempt.progress().outcome());
        }
        let error = error.with_outcome(outcome);
        this.attempt.end(outcome);
        Poll::Ready(Err(error.with_attempts(this.attempt.number()).into()))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of what is below, which may hold an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
