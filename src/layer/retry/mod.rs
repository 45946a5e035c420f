//! Begins another attempt where that is safe.
//!
//! # Position
//!
//! Top of the attempt level: what is below is repeated, what is above happens once a call. It wants
//! [`DecodeErrorLayer`](super::DecodeErrorLayer) below it, which says of every failure whether it may
//! have taken effect; an error of any other type counts as [`Outcome::Unknown`].
//!
//! | outcome of an attempt | create | revoke |
//! |---|---|---|
//! | [`NotSent`](Outcome::NotSent) and transient | retry | retry |
//! | [`NotSent`](Outcome::NotSent) and permanent | stop | stop |
//! | [`Rejected`](Outcome::Rejected) with 421, 425, 429, or without a status | retry | retry |
//! | [`Rejected`](Outcome::Rejected) with 401, another key may be had | once | once |
//! | [`Rejected`](Outcome::Rejected) otherwise, [`Applied`](Outcome::Applied) | stop | stop |
//! | [`Unknown`](Outcome::Unknown) | **stop** | retry |
//!
//! Two things are decided otherwise: [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) is not
//! retried, and a create whose attempt timed out is, where
//! [`retry_settled_timeouts`](RetryConfig::retry_settled_timeouts) asks for it and
//! [`SettleLayer`](super::SettleLayer) revokes what the lost attempt may mint.
//!
//! Otherwise a create is sent again only when the attempt before provably had no effect: there is no
//! idempotency key, and a second token would be a second live link.
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use bytes::Bytes;
//! use clerk_actor_tokens::{Body, BoxError, OperationKind, RetryConfig};
//! use clerk_actor_tokens::layer::{DecodeErrorLayer, RetryLayer};
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! static SEEN: AtomicU32 = AtomicU32::new(0);
//! let mut service = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryConfig::default()))
//!     .layer(DecodeErrorLayer::new())
//!     .service_fn(|_: Request<Body>| async {
//!         let status = if SEEN.fetch_add(1, Ordering::Relaxed) == 0 { 429 } else { 200 };
//!         Ok::<_, BoxError>(Response::builder().status(status).body(Full::<Bytes>::default())?)
//!     });
//! let request = Request::new(Body::new(OperationKind::Create, "{}"));
//! assert_eq!(service.ready().await?.call(request).await?.status(), 200);
//! assert_eq!(SEEN.load(Ordering::Relaxed), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the attempt in flight; dropped during a pause, nothing more is sent.
//!
//! # Differences from `tower::retry`
//!
//! It decides on typed outcomes, keeps within the call's deadline, and never hides the last error.
//! A `tower::retry::RetryLayer` with a policy of your own can stand in its place.

mod budget;
mod future;
mod policy;
mod repeat;
mod session;
mod verdict;

use std::{
    fmt,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::policy::Classifier;
pub use self::{future::ResponseFuture, verdict::Verdict};
use self::{policy::Policy, repeat::Repeat, session::Session};
#[cfg(doc)]
use crate::Outcome;
use crate::{Body, BoxError, Error, OperationKind, RetryConfig};

/// Layer of [`Retry`]. All services that one layer makes, and their clones, share one budget.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: Policy,
}

impl RetryLayer {
    /// Retries as `config` says, unless the request says otherwise.
    #[must_use]
    pub fn new(config: RetryConfig) -> Self {
        Self {
            policy: Policy::new(config),
        }
    }

    /// Lets `classifier` turn a verdict down or up. It is given the failure of the attempt, which
    /// operation it was, and the verdict of the table above: of a 401 with a key in whose place there may
    /// be another it is [`Verdict::Retry`], the first time. It decides whether another attempt may follow
    /// at all; number, time and budget still bound it.
    ///
    /// To turn up the verdict of a create whose outcome is [`Outcome::Unknown`] is
    /// [dangerous](RetryConfig::replay_unknown_create).
    #[must_use]
    pub fn classifier<F>(mut self, classifier: F) -> Self
    where
        F: Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync + 'static,
    {
        self.policy.classifier = Some(Classifier::new(classifier));
        self
    }

    pub(crate) fn with_classifier(mut self, classifier: Option<Classifier>) -> Self {
        self.policy.classifier = classifier;
        self
    }
}

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry {
            prototype: Arc::new(Mutex::new(inner.clone())),
            inner,
            policy: Arc::new(self.policy.clone()),
        }
    }
}

/// Begins another attempt where that is safe, see the [module](self).
#[derive(Clone)]
pub struct Retry<S> {
    inner: S,
    // What further attempts are called on a clone of: most calls have none, and need none.
    prototype: Arc<Mutex<S>>,
    // Shared, so that the stack is cheap to clone.
    policy: Arc<Policy>,
}

impl<S: fmt::Debug> fmt::Debug for Retry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for Retry<S>
where
    S: Service<Request<Body>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let session = Session::new(&self.policy, request.body());
        let next = session
            .may_go_on()
            .then(|| Repeat::new(&self.prototype, &request));
        ResponseFuture::new(self.inner.call(request), next, session)
    }
}
