//! Repeats an attempt if that is safe.
//!
//! # Position
//!
//! Top of the attempt level: the layers below run once per attempt, the layers above once per call. It
//! needs [`DecodeErrorLayer`](super::DecodeErrorLayer) below, which gives every failure an outcome. An
//! error of another type counts as [`Outcome::Unknown`].
//!
//! | outcome of an attempt | create | revoke |
//! |---|---|---|
//! | [`NotSent`](Outcome::NotSent) and transient | retry | retry |
//! | [`NotSent`](Outcome::NotSent) and permanent | stop | stop |
//! | [`Rejected`](Outcome::Rejected) with 421, 425, 429, or without a status | retry | retry |
//! | [`Rejected`](Outcome::Rejected) with 401, if the key may have been rotated | once | once |
//! | [`Rejected`](Outcome::Rejected) otherwise, [`Applied`](Outcome::Applied) | stop | stop |
//! | [`Unknown`](Outcome::Unknown) | **stop** | retry |
//!
//! A create is repeated only if the previous attempt provably had no effect, because the API has no
//! idempotency key and a second token would be a second live link. [`RetryConfig`] has two exceptions.
//! [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) is not retried. The operations on sessions are
//! retried like a revoke.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Body, BoxError, OperationKind, Payload, RetryConfig, TokenResponse};
//! use clerk_actor_tokens::layer::{DecodeErrorLayer, RetryLayer};
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let mut statuses = [429, 200].into_iter();
//! let mut service = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryConfig::default()))
//!     .layer(DecodeErrorLayer::new())
//!     .service_fn(move |_: Request<Body>| {
//!         let response = Response::builder().status(statuses.next().unwrap());
//!         async { Ok::<_, BoxError>(response.body(TokenResponse::new(""))?) }
//!     });
//! let request = Request::new(Payload::new(OperationKind::Create, "{}"));
//! assert_eq!(service.ready().await?.call(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the attempt in flight. During backoff nothing more is sent.
//!
//! # Differences from `tower::retry`
//!
//! It is [`tower::retry::Retry`] with a policy that decides by outcome and keeps within the call's
//! deadline. To use your own policy, disable this layer by [`RetryConfig::disabled`] and add a
//! [`tower::retry::RetryLayer`] as an [attempt layer](crate::ClientBuilder::attempt_layer).

mod budget;
mod policy;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::policy::Classifier;
use self::policy::Policy;
pub use self::policy::Verdict;
#[cfg(doc)]
use crate::Outcome;
use crate::{BoxError, Error, OperationKind, Payload, RetryConfig};

/// Layer of [`Retry`]. The services of one layer, and their clones, share one budget.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: Policy,
}

impl RetryLayer {
    /// Creates a layer with this configuration, which that of a request replaces.
    pub fn new(config: RetryConfig) -> Self {
        Self::with_classifier(config, None)
    }

    /// Sets a function that can replace the verdict of the [table](self). It receives the error of the
    /// attempt, the operation and the verdict. Number, time and budget still bound the retries.
    ///
    /// Retrying a create with [`Outcome::Unknown`] is [dangerous](RetryConfig::replay_unknown_create).
    #[must_use]
    pub fn classifier<F>(mut self, classifier: F) -> Self
    where
        F: Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync + 'static,
    {
        self.policy.set_classifier(Classifier(Arc::new(classifier)));
        self
    }

    pub(crate) fn with_classifier(config: RetryConfig, classifier: Option<Classifier>) -> Self {
        Self {
            policy: Policy::new(config, classifier),
        }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry {
            inner: tower::retry::Retry::new(self.policy.clone(), inner),
        }
    }
}

/// Repeats an attempt if that is safe, see the [module](self).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: tower::retry::Retry<Policy, S>,
}

impl<S> Service<Request<Payload>> for Retry<S>
where
    S: Service<Request<Payload>, Error = BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        ResponseFuture {
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The future of [`Retry`].
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Payload>, Error = BoxError>,
    {
        #[pin]
        inner: tower::retry::future::ResponseFuture<Policy, S, Request<Payload>>,
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request<Payload>, Error = BoxError> + Clone,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx)
    }
}

crate::text::opaque_debug!(ResponseFuture<S> where S: Service<Request<Payload>, Error = BoxError>);
