//! Bounds the time of a call, or of an attempt.
//!
//! # Position
//!
//! Twice in the stack. Over [`ActorTokenRequest`]s it bounds the call: all attempts and pauses
//! together. Over `http::Request<Body>`s it bounds one attempt, from the first byte sent to the last
//! byte read: it stands above [`CollectBodyLayer`](super::CollectBodyLayer), so that a body that
//! never ends is bounded too. A request's own option, [`ActorTokenRequest::timeout`] or
//! [`ActorTokenRequest::attempt_timeout`], goes before the layer's.
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
//! Dropping the future drops what is below, nothing else.
//!
//! # Differences from `tower::timeout`
//!
//! It knows the two levels, takes the limit from the request, registers a timer only once something
//! is pending, and refuses a call without any time before it is begun. The time of a call begins when
//! it is made, that of an attempt when it first waits for something.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::{ActorTokenRequest, Body, BoxError, runtime};

/// Layer of [`Timeout`].
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// Bounds what is below to `limit`, unless the request says otherwise. `Duration::MAX` is no
    /// bound at all; with `Duration::ZERO` everything is refused before it is begun.
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
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: R) -> Self::Future {
        let limit = request.own_limit().unwrap_or(self.limit);
        let deadline = request.begin(limit);
        let inner = if limit.is_zero() {
            // What was polled ready is let go, so that its capacity is free for others.
            self.inner = self.inner.clone();
            None
        } else {
            Some(self.inner.call(request))
        };
        ResponseFuture {
            inner,
            timer: None,
            deadline,
            limit,
            scope: R::SCOPE,
        }
    }
}

/// A request whose time can be bounded. Implemented by [`ActorTokenRequest`] and
/// `http::Request<Body>`; sealed.
pub trait Timed: sealed::Timed {}

impl<R: sealed::Timed> Timed for R {}

mod sealed {
    use super::{Duration, Instant, Scope};

    pub trait Timed {
        const SCOPE: Scope;

        /// The limit that the request itself asks for.
        fn own_limit(&self) -> Option<Duration>;

        /// Notes when its time is over, if layers further down must know. Else the time begins with
        /// the first wait, so that what is ready at once costs no look at the clock.
        fn begin(&mut self, limit: Duration) -> Option<Instant>;
    }
}

impl sealed::Timed for ActorTokenRequest {
    const SCOPE: Scope = Scope::Call;

    fn own_limit(&self) -> Option<Duration> {
        self.call().options().and_then(|options| options.timeout)
    }

    fn begin(&mut self, limit: Duration) -> Option<Instant> {
        let deadline = Instant::now().checked_add(limit);
        self.call_mut().set_deadline(deadline);
        deadline
    }
}

impl sealed::Timed for http::Request<Body> {
    const SCOPE: Scope = Scope::Attempt;

    fn own_limit(&self) -> Option<Duration> {
        self.body()
            .content()
            .options()
            .and_then(|options| options.attempt_timeout)
    }

    fn begin(&mut self, _: Duration) -> Option<Instant> {
        None
    }
}

/// What a time-out bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// All attempts and pauses of a call.
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

pin_project! {
    /// What is below, and the time it has.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        // Boxed, and made only where something is waited for: all futures above are as large as this.
        timer: Option<Pin<Box<Sleep>>>,
        deadline: Option<Instant>,
        limit: Duration,
        scope: Scope,
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let timed_out = TimedOut {
            scope: *this.scope,
            limit: *this.limit,
        };
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Err(timed_out.into()));
        };
        if let Poll::Ready(result) = inner.poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        if this.timer.is_none() {
            let deadline = this
                .deadline
                .or_else(|| Instant::now().checked_add(*this.limit));
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            *this.timer = Some(Box::pin(runtime::sleep_until(deadline)?));
        }
        match this.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(timed_out.into())),
            _ => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of what is below, which may hold an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("deadline", &self.deadline)
            .field("limit", &self.limit)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
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
    /// Whether it was the call's time or an attempt's.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How much time it had.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}
