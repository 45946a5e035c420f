//! Turns every failure of an attempt into one [`Error`] with its [`Outcome`].
//!
//! # Position
//!
//! Below retry, so that retry decides on facts, and above the attempt's timeout, whose error it
//! classifies too. It begins the attempt: it turns a [`Payload`] into the [`Body`] of one attempt, which
//! notes whether the transport took it. So no layer below can send a request twice by cloning it, and
//! this layer cannot stand twice in a stack. A 200 passes unchanged.
//!
//! | what happens | outcome |
//! |---|---|
//! | connecting fails, or the body is never taken | [`Outcome::NotSent`] |
//! | 4xx | [`Outcome::Rejected`] |
//! | 5xx, a status that this API does not use, a failure after the body was taken | [`Outcome::Unknown`] |
//! | a 200 breaks off or is too long | [`Outcome::Applied`] once the id of a token was received, before that [`Outcome::Unknown`] |
//! | the body of another response does not end in time | by the status; `Retry-After` and trace id are kept |
//! | a layer below returns an [`Error`] | as that error says, but for a create that was sent at least [`Outcome::Unknown`] |
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{
//!     Body, BoxError, Error, OperationKind, Outcome, Payload, TokenResponse, layer::DecodeErrorLayer,
//! };
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new().layer(DecodeErrorLayer::new()).service_fn(
//!     |_: Request<Body>| async {
//!         let body = TokenResponse::new(r#"{"errors":[{"code":"clerk_key_invalid"}]}"#);
//!         Ok::<_, BoxError>(Response::builder().status(401).body(body)?)
//!     },
//! );
//! let request = Request::new(Payload::new(OperationKind::Create, "{}"));
//! let error = service.ready().await?.call(request).await.unwrap_err();
//! let error = error.downcast::<Error>().unwrap();
//! assert_eq!((error.outcome(), error.code()), (Outcome::Rejected, Some("clerk_key_invalid")));
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future withdraws the body: if the transport has not taken it by then, it never will,
//! and the attempt had no effect.

mod evidence;
mod response;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::response::outcome as outcome_of_status;
use crate::{Body, BoxError, Error, OperationKind, Outcome, Payload, TokenResponse, call::Attempt};

/// Layer of [`DecodeError`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeErrorLayer(());

impl DecodeErrorLayer {
    /// Makes the layer; it has no configuration.
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

impl<S> Service<Request<Payload>> for DecodeError<S>
where
    S: Service<Request<Body>, Response = Response<TokenResponse>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<TokenResponse>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| evidence::classify(error.into(), None).into())
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let request = request.map(Payload::begin_attempt);
        let (attempt, kind) = (request.body().attempt_handle(), request.body().kind());
        ResponseFuture {
            inner: Some(self.inner.call(request)),
            attempt,
            kind,
        }
    }
}

/// Returns the outcome that the error of an exchange proves to the layer that settles it.
pub(crate) fn outcome(error: &BoxError, attempt: &Attempt) -> Outcome {
    let sent = (!attempt.withdraw()).then_some(OperationKind::Create);
    match error.downcast_ref::<Error>() {
        Some(typed) => evidence::believed(typed.outcome(), sent),
        None => response::complete(evidence::describe(&**error, sent), attempt).outcome(),
    }
}

pin_project! {
    /// The future of [`DecodeError`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        attempt: Attempt,
        kind: OperationKind,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_none() {
                return;
            }
            // The layers below give up the exchange before the body is withdrawn.
            this.inner.set(None);
            if !this.attempt.withdraw() && !this.attempt.has_ended() {
                if let Some(head) = this.attempt.head().filter(|it| it.status != StatusCode::OK) {
                    this.attempt.end(outcome_of_status(head.status));
                }
            }
        }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<TokenResponse>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<TokenResponse>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let result = ready!(inner.expect("polled after it was ready").poll(cx));
        // A timeout below may have given up an exchange that a transport still holds.
        this.inner.set(None);
        let error = match result {
            Ok(response) if response.status() == StatusCode::OK => {
                // It took effect only if Json finds a token in it.
                this.attempt.end(Outcome::Unknown);
                return Poll::Ready(Ok(response));
            }
            Ok(response) => response::decode(response),
            Err(error) => failure(error.into(), this.attempt, *this.kind),
        };
        this.attempt.end(error.outcome());
        let number = this.attempt.number();
        Poll::Ready(Err(error.with_attempts(number).into()))
    }
}

/// Returns the error of an attempt without a response.
fn failure(error: BoxError, attempt: &Attempt, kind: OperationKind) -> Error {
    let sent = (!attempt.withdraw()).then_some(kind);
    let error = response::complete(evidence::classify(error, sent), attempt);
    // Any other status than 200 ends what could be settled.
    let may_mint = attempt
        .head()
        .is_none_or(|head| head.status == StatusCode::OK);
    let is_settling = error.is_timeout() && may_mint && attempt.is_followed();
    error.with_settling(is_settling)
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of the inner future, which may hold a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
