//! Limits the time of a call or of an attempt.
//!
//! # Position
//!
//! Twice in the stack:
//!
//! * Over [`ActorTokenRequest`]s it limits the call: readiness, all attempts and backoff. The service is
//!   always ready, and its future waits for a clone of the inner service. So tower's `LoadShed` belongs
//!   directly above the limit that it watches, on the same level. A wait in a call layer is not limited.
//! * Over `http::Request<Body>`s it limits one attempt: the key provider, the connect phase, and the
//!   response with its body, because it is above [`CollectBodyLayer`](super::CollectBodyLayer).
//!
//! A request's own [`ActorTokenRequest::timeout`] or [`ActorTokenRequest::attempt_timeout`] replaces the
//! limit of the layer.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use clerk_actor_tokens::{ActorTokenRequest, BoxError, layer::{TimeoutLayer, timeout::TimedOut}};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let mut service = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(30)))
//!     .service_fn(|_: ActorTokenRequest| std::future::pending::<Result<(), BoxError>>());
//! let request = ActorTokenRequest::revoke("act_1".parse().unwrap());
//! let error = service.ready().await.unwrap().call(request).await.unwrap_err();
//! assert_eq!(error.downcast::<TimedOut>().unwrap().to_string(), "the call took longer than 30s");
//! # }
//! ```
//!
//! # Errors
//!
//! [`TimedOut`], or an error outside of a tokio runtime. It panics on a runtime without timers.
//!
//! # Differences from `tower::timeout`
//!
//! A request can have its own limit, which includes readiness for a call. The layers below know the
//! deadline of the call. With a limit of zero nothing is sent.

use std::{
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    task::coop::unconstrained,
    time::{Instant, Sleep},
};
use tower::{ServiceExt, util::Oneshot};
use tower_layer::Layer;
use tower_service::Service;

use super::{no_runtime, refusal};
use crate::{ActorTokenRequest, Body, BoxError};

/// Layer of [`Timeout`].
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// Limits requests without a limit of their own. `Duration::MAX` is no limit; with `Duration::ZERO`
    /// every request is refused.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout {
            inner,
            limit: self.limit,
        }
    }
}

/// Limits the time of a call or an attempt, see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

/// The time of a request.
#[derive(Debug)]
struct Time {
    // `None` without a limit.
    end: Option<Instant>,
    timed_out: TimedOut,
}

impl Time {
    fn begin(scope: Scope, limit: Duration) -> Self {
        let end = Instant::now().checked_add(limit);
        let timed_out = TimedOut { scope, limit };
        Self { end, timed_out }
    }

    /// Returns the error of a request that must not be sent.
    fn refusal(&self) -> Option<BoxError> {
        if self.timed_out.limit.is_zero() {
            return Some(self.timed_out.into());
        }
        let is_outside = Handle::try_current().is_err();
        is_outside.then(|| no_runtime().into())
    }
}

impl<S> Service<ActorTokenRequest> for Timeout<S>
where
    S: Service<ActorTokenRequest> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<Oneshot<S, ActorTokenRequest>>;

    /// Is always ready, because the future waits for a clone.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        let own_limit = request.options().and_then(|options| options.timeout);
        let time = Time::begin(Scope::Call, own_limit.unwrap_or(self.limit));
        if let Some(error) = time.refusal() {
            return ResponseFuture::refused(&mut self.inner, error, time);
        }
        request.deadline = request.deadline.into_iter().chain(time.end).min();
        ResponseFuture::called(self.inner.clone().oneshot(request), time)
    }
}

impl<S> Service<Request<Body>> for Timeout<S>
where
    S: Service<Request<Body>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let options = request.body().options();
        let own_limit = options.and_then(|options| options.attempt_timeout);
        let time = Time::begin(Scope::Attempt, own_limit.unwrap_or(self.limit));
        if let Some(error) = time.refusal() {
            return ResponseFuture::refused(&mut self.inner, error, time);
        }
        ResponseFuture::called(self.inner.call(request), time)
    }
}

pin_project! {
    /// The future of [`Timeout`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: refusal::ResponseFuture<F>,
        time: Time,
        // Created when the inner future is pending: 300 instructions less for one that is ready at once.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F> ResponseFuture<F> {
    fn called(inner: F, time: Time) -> Self {
        let inner = refusal::ResponseFuture::called(inner);
        let sleep = None;
        Self { inner, time, sleep }
    }

    fn refused(service: &mut impl Clone, error: BoxError, time: Time) -> Self {
        let inner = refusal::ResponseFuture::refused(service, error);
        let sleep = None;
        Self { inner, time, sleep }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(result);
        }
        let Some(end) = this.time.end else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep_until(end)));
        }
        let sleep = this.sleep.as_pin_mut().expect("it was made above");
        // Unconstrained, because the inner future may have used up the coop budget.
        ready!(pin!(unconstrained(sleep)).poll(cx));
        Poll::Ready(Err(this.time.timed_out.into()))
    }
}

crate::text::opaque_debug!(ResponseFuture<F>);

/// The scope of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// All attempts and backoff of a call.
    Call,
    /// One attempt, head and body.
    Attempt,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Attempt => "attempt",
        })
    }
}

/// The error of a call or an attempt that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {scope} took longer than {limit:?}")]
pub struct TimedOut {
    scope: Scope,
    limit: Duration,
}

impl TimedOut {
    /// Returns whether a call or an attempt timed out.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns the limit.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}
