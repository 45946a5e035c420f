//! Turns every failure of an attempt into one [`Error`] with its [`Outcome`].
//!
//! # Position
//!
//! Below retry, which decides by the outcome, and above the attempt's timeout, whose error it types. It
//! turns a [`Payload`] into the [`Body`] of one attempt, which is not `Clone`. So no layer below can send
//! a request twice, and this layer cannot stand twice in a stack.
//!
//! The 200 of a create passes unchanged, because a create that took effect is never sent again. The 200
//! of a revoke is judged here, so that the revoke can be retried. `revoked` or no status is success,
//! `accepted` is [`ErrorKind::AlreadyAccepted`](crate::ErrorKind::AlreadyAccepted), any other status is
//! [`ErrorKind::NotRevoked`](crate::ErrorKind::NotRevoked).
//!
//! The first rule that applies gives the outcome:
//!
//! | event | outcome |
//! |---|---|
//! | the body was not taken, whatever the response is | [`Outcome::NotSent`] |
//! | the server refused the TLS handshake, also after the request was written | [`Outcome::NotSent`] |
//! | an HTTP/2 peer refused the stream without processing it | [`Outcome::Rejected`] |
//! | the transport did not respond, whatever a wire layer responded | [`Outcome::Unknown`] |
//! | the transport responded with 408, 460 or 499, which proxies send after forwarding | [`Outcome::Unknown`] |
//! | the transport responded with another 4xx | [`Outcome::Rejected`] |
//! | an unusable 200 names the token of the request | [`Outcome::Applied`] |
//! | any other response | [`Outcome::Unknown`] |
//!
//! [`BearerAuth`](super::BearerAuth) records the status from the transport. Without it, the response that
//! arrives is believed. An [`Error`] of a layer below keeps its outcome, but a create that was sent is at
//! least [`Outcome::Unknown`].
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
//!     |request: Request<Body>| async {
//!         let _sent = request.into_body().into_bytes()?;
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
//! Dropping the future withdraws the body. If the transport has not taken it, the attempt has no effect.

mod evidence;
mod response;

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::response::revoked;
use crate::{Body, BoxError, Error, OperationKind, Outcome, Payload, TokenResponse, call::Attempt};

/// Layer of [`DecodeError`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeErrorLayer(());

impl DecodeErrorLayer {
    /// Creates the layer.
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
        let attempt = request.body().attempt_handle();
        let payload = request.body().payload.clone();
        ResponseFuture {
            inner: Some(self.inner.call(request)),
            attempt,
            payload,
        }
    }
}

/// Returns the outcome that the error of an exchange proves, for Settle.
pub(crate) fn outcome(error: &BoxError, attempt: &Attempt, payload: &Payload) -> Outcome {
    let sent = (!attempt.withdraw()).then_some(OperationKind::Create);
    match error.downcast_ref::<Error>() {
        Some(typed) => evidence::believed(typed.outcome(), sent),
        None => response::complete(evidence::describe(&**error, sent), attempt, payload).outcome(),
    }
}

pin_project! {
    /// The future of [`DecodeError`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        attempt: Attempt,
        payload: Payload,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_none() {
                return;
            }
            // The layers below drop the exchange before the body is withdrawn.
            this.inner.set(None);
            if !this.attempt.withdraw() && !this.attempt.has_ended() {
                if let Some(head) = this.attempt.failed_head() {
                    this.attempt.end_with(head.status);
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
        // After a timeout, a transport may still hold the exchange.
        this.inner.set(None);
        let error = match result {
            Ok(response) if response.status() == StatusCode::OK => {
                // Unknown, unless the body shows the expected token.
                let outcome = this.attempt.end_with(StatusCode::OK);
                if this.payload.kind() == OperationKind::Create {
                    return Poll::Ready(Ok(response));
                }
                match judge_ok(response, outcome, this.payload) {
                    Ok(response) => return Poll::Ready(Ok(response)),
                    Err(error) => error,
                }
            }
            Ok(response) => response::decode(response, this.attempt),
            Err(error) => failure(error.into(), this.attempt, this.payload),
        };
        this.attempt.end(error.outcome());
        let number = this.attempt.number();
        Poll::Ready(Err(error.with_attempts(number).into()))
    }
}

/// Judges the 200 to another operation than a create. `outcome` applies to a body that cannot be used.
fn judge_ok(
    response: Response<TokenResponse>,
    outcome: Outcome,
    payload: &Payload,
) -> Result<Response<TokenResponse>, Error> {
    let bytes = response.body().expose_bytes();
    #[cfg(feature = "sessions")]
    if payload.kind() != OperationKind::Revoke {
        let checked = crate::sessions::session::check(payload, bytes).map(|()| response);
        return checked.map_err(|error| match outcome.is_without_effect() {
            true => error.with_outcome(outcome),
            false => error,
        });
    }
    match response::revoked(payload.id(), bytes) {
        Ok(token) => {
            let revoked = Some(Box::new(token));
            Ok(response.map(|body| TokenResponse { revoked, ..body }))
        }
        Err(error) if outcome.is_without_effect() => Err(error.with_outcome(outcome)),
        Err(error) if error.outcome() == Outcome::Unknown => {
            Err(response::with_effect(error, payload, bytes))
        }
        Err(error) => Err(error),
    }
}

/// Returns the error of an attempt without a response.
fn failure(error: BoxError, attempt: &Attempt, payload: &Payload) -> Error {
    let sent = (!attempt.withdraw()).then_some(payload.kind());
    let error = response::complete(evidence::classify(error, sent), attempt, payload);
    // After any other status than 200 there is no token to settle.
    let may_mint = attempt.failed_head().is_none();
    let is_settling = error.is_timeout() && may_mint && attempt.is_followed();
    error.with_settling(is_settling)
}

crate::text::opaque_debug!(ResponseFuture<F>);
