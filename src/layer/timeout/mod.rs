//! Bounds the time of a call, or of an attempt.
//!
//! # Position
//!
//! Twice in the stack. Over [`ActorTokenRequest`]s it bounds the call: all attempts and pauses
//! together. Over `http::Request<Body>`s it bounds one attempt, with all that it has to wait for: the key
//! from its provider, connecting, and the answer to its last byte. It stands above
//! [`CollectBodyLayer`](super::CollectBodyLayer), so that a body that never ends is bounded too. A
//! request's own option, [`ActorTokenRequest::timeout`] or
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
//! is pending, lends that to the time-outs inside that are polled by the same task, and refuses a call
//! without any time before it is begun. The time of a call begins when it is made, that of an attempt
//! when it first waits for something.

mod error;
mod future;
mod lent;
#[cfg(test)]
mod tests;
mod timed;

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    error::{Scope, TimedOut},
    future::ResponseFuture,
    timed::Timed,
};
#[cfg(doc)]
use crate::ActorTokenRequest;
use crate::BoxError;

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
        ResponseFuture::new(inner, deadline, limit, R::SCOPE)
    }
}
