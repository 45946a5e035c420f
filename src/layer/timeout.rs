//! Bounds the time of a call, or of an attempt.
//!
//! # Position
//!
//! Twice in the stack. Over [`ActorTokenRequest`]s it bounds the call: all attempts and backoff
//! together. Over `http::Request<Body>`s it bounds one attempt: the key provider, the connect phase, and
//! the response to its last byte. It stands above [`CollectBodyLayer`](super::CollectBodyLayer), so that
//! a body that never ends is bounded too. A request's own [`ActorTokenRequest::timeout`] or
//! [`ActorTokenRequest::attempt_timeout`] replaces the layer's limit.
//!
//! Over [`ActorTokenRequest`]s the service is always ready. It waits for the readiness of a clone of the
//! inner service inside its future, so that this wait is bounded too. A `LoadShed` of tower therefore
//! belongs directly above the limit that it watches, on the same level, and a call layer that waits does so
//! outside the call's time.
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
//! # Cancel safety
//!
//! Dropping the future drops the inner future, nothing else.
//!
//! # Errors
//!
//! [`TimedOut`], and an error outside of a tokio runtime. It panics on a runtime without timers.
//!
//! # Differences from `tower::timeout`
//!
//! It takes the limit from the request, bounds the readiness of a call, gives the layers below the call's
//! deadline, and refuses a request without any time before it is sent.

use std::{
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    task::coop::unconstrained,
    time::{Instant, Sleep},
};
use tower::{ServiceExt, util::Oneshot};
use tower_layer::Layer;
use tower_service::Service;

use super::no_runtime;
use crate::{ActorTokenRequest, Body, BoxError};

/// Layer of [`Timeout`].
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// Bounds the inner service to `limit`, unless the request has a limit of its own.
    /// `Duration::MAX` is no bound; with `Duration::ZERO` every request is refused.
    #[must_use]
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

/// Bounds the time of a call or an attempt, see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

impl<S, R> Service<R> for Timeout<S>
where
    S: Service<R> + Clone,
    S::Error: Into<BoxError>,
    R: Timed,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<R::Inner<S>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        R::poll_ready(&mut self.inner, cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let limit = request.own_limit().unwrap_or(self.limit);
        let timed_out = TimedOut {
            scope: R::SCOPE,
            limit,
        };
        let refusal = if limit.is_zero() {
            BoxError::from(timed_out)
        } else if Handle::try_current().is_err() {
            no_runtime().into()
        } else {
            let end = Instant::now().checked_add(limit);
            return ResponseFuture {
                inner: Some(request.call(&mut self.inner, end)),
                end,
                sleep: None,
                refusal: None,
                timed_out,
            };
        };
        // Releases the reserved readiness, such as a concurrency permit.
        self.inner = self.inner.clone();
        ResponseFuture {
            inner: None,
            end: None,
            sleep: None,
            refusal: Some(refusal),
            timed_out,
        }
    }
}

/// A request whose time can be bounded: [`ActorTokenRequest`] and `http::Request<Body>`; sealed.
pub trait Timed: sealed::Timed {}

impl<R: sealed::Timed> Timed for R {}

mod sealed {
    use super::{Context, Duration, Instant, Poll, Scope, Service};

    pub trait Timed: Sized {
        const SCOPE: Scope;

        /// The inner future.
        type Inner<S: Service<Self>>: Future<Output = Result<S::Response, S::Error>>;

        /// Returns the limit of the request itself.
        fn own_limit(&self) -> Option<Duration>;

        fn poll_ready<S>(inner: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
        where
            S: Service<Self>;

        /// Calls the inner service with a request that must end by then.
        fn call<S>(self, inner: &mut S, end: Option<Instant>) -> Self::Inner<S>
        where
            S: Service<Self> + Clone;
    }
}

impl sealed::Timed for ActorTokenRequest {
    const SCOPE: Scope = Scope::Call;

    type Inner<S: Service<Self>> = Oneshot<S, Self>;

    fn own_limit(&self) -> Option<Duration> {
        self.options().and_then(|options| options.timeout)
    }

    fn poll_ready<S>(_: &mut S, _: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Self>,
    {
        Poll::Ready(Ok(()))
    }

    fn call<S>(mut self, inner: &mut S, end: Option<Instant>) -> Self::Inner<S>
    where
        S: Service<Self> + Clone,
    {
        self.deadline = self.deadline.into_iter().chain(end).min();
        inner.clone().oneshot(self)
    }
}

impl sealed::Timed for http::Request<Body> {
    const SCOPE: Scope = Scope::Attempt;

    type Inner<S: Service<Self>> = S::Future;

    fn own_limit(&self) -> Option<Duration> {
        let options = self.body().options();
        options.and_then(|options| options.attempt_timeout)
    }

    fn poll_ready<S>(inner: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Self>,
    {
        inner.poll_ready(cx)
    }

    fn call<S>(self, inner: &mut S, _: Option<Instant>) -> Self::Inner<S>
    where
        S: Service<Self> + Clone,
    {
        inner.call(self)
    }
}

pin_project! {
    /// The future of [`Timeout`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        // None if the limit is no bound.
        end: Option<Instant>,
        // Made when the inner future is pending. To make it with the future takes 300 instructions more
        // for a response that is there at once.
        #[pin]
        sleep: Option<Sleep>,
        refusal: Option<BoxError>,
        timed_out: TimedOut,
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
        let Some(inner) = this.inner.as_pin_mut() else {
            let refusal = this.refusal.take().expect("polled after it was ready");
            return Poll::Ready(Err(refusal));
        };
        if let Poll::Ready(result) = inner.poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        if this.sleep.is_none() {
            this.sleep.set(this.end.map(tokio::time::sleep_until));
        }
        let Some(sleep) = this.sleep.as_pin_mut() else {
            return Poll::Pending;
        };
        // An inner future that uses up its budget must not keep the time from running out.
        ready!(pin!(unconstrained(sleep)).poll(cx));
        Poll::Ready(Err((*this.timed_out).into()))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of the inner future, which may hold a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("limit", &self.timed_out.limit)
            .field("scope", &self.timed_out.scope)
            .finish_non_exhaustive()
    }
}

/// What a timeout bounds.
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

/// The error of a call or an attempt whose time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {scope} took longer than {limit:?}")]
pub struct TimedOut {
    scope: Scope,
    limit: Duration,
}

impl TimedOut {
    /// Returns whether the call's or an attempt's time ran out.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns the limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}
