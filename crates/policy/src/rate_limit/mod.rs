//! Limits creates by actor, subject, principal and in all.
//!
//! A create takes one unit of every [`Limit`], or none if one of them has none left. The units are given
//! back when the call provably sent nothing: its outcome is
//! [`NotSent`](clerk_actor_tokens::Outcome::NotSent), also when it is cancelled. All clones of the layer
//! share the units. Other operations pass, because a revoke is never held back.
//!
//! # Position
//!
//! A call layer below [`AuthorizeLayer`](crate::AuthorizeLayer), so that a denied call takes no unit. It
//! does not wait for units. It [closes](CallWatch::close) the call before it gives the units back, so that
//! nothing can be sent afterwards. That proof needs the client's layers below: a service of another kind
//! that is dropped counts as not sent.
//!
//! # Example
//!
//! ```
//! use std::{num::NonZeroU32, time::Duration};
//! use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
//! use clerk_actor_tokens_policy::{Limit, LimitBy, MemoryRateLimitStore, RateLimitLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
//! let two = NonZeroU32::new(2).ok_or("zero")?;
//! let per_minute = Limit::new(LimitBy::Actor, two, Duration::from_secs(60));
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .call_layer(RateLimitLayer::new(MemoryRateLimitStore::new(), [per_minute]))
//!     .build()?;
//!
//! let create = || CreateActorToken::new("user_subject", Actor::new("user_admin"));
//! client.create(create()).await?;
//! client.create(create()).await?;
//! let error = client.create(create()).await.unwrap_err();
//! assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the inner future, and gives the units back if nothing was sent.
//!
//! # Errors
//!
//! [`Error::refused`] with 429, the code [`ClerkError::TOO_MANY_REQUESTS`], the limit as `meta.rule` and
//! [`Error::retry_after`] in whole seconds, rounded up; 503 with the code [`UNAVAILABLE`] if the store
//! cannot be reached. Errors of the inner service pass unchanged.

mod limit;
mod memory;
mod store;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use clerk_actor_tokens::{
    ActorTokenRequest, BoxError, CallWatch, ClerkError, Error, OperationKind, Outcome,
};
use http::StatusCode;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use self::limit::Rule;
pub use self::{
    limit::{Limit, LimitBy},
    memory::{MemoryRateLimitStore, MemoryReceipt},
    store::{Cell, RateLimitStore, Taken},
};
pub use crate::future::ResponseFuture;
use crate::{
    refusal::{refusal, whole_seconds},
    telemetry::{self, Facts, Stage},
};

/// The code of the error of a create whose units could not be counted.
pub const UNAVAILABLE: &str = "rate_limit_unavailable";

/// Layer of [`RateLimit`].
#[derive(Debug)]
pub struct RateLimitLayer<St> {
    store: Arc<St>,
    rules: Arc<[Rule]>,
}

impl<St: RateLimitStore> RateLimitLayer<St> {
    /// Limits creates by all of `limits`.
    pub fn new(store: St, limits: impl IntoIterator<Item = Limit>) -> Self {
        let limits = limits.into_iter().enumerate();
        Self {
            store: Arc::new(store),
            rules: limits.map(|(number, limit)| limit.rule(number)).collect(),
        }
    }

    /// Takes the units of a create, or returns the error of a refusal.
    async fn take(self, request: &mut ActorTokenRequest) -> Result<Units<St>, Error> {
        let keys: Vec<_> = self.rules.iter().map(|rule| rule.key(request)).collect();
        let rules = self.rules.iter().zip(&keys);
        let cells: Vec<_> = rules
            .map(|(rule, key)| Cell::new(key, rule.interval, rule.burst))
            .collect();
        let (rule, error) = match self.store.take(&cells).await {
            Ok(Taken::Yes(receipt)) => {
                telemetry::passed(Stage::RateLimit);
                return Ok(Units {
                    taken: Some((self.store, receipt)),
                    watch: request.watch(),
                });
            }
            Ok(Taken::No { rule, retry_after }) => {
                let by = self.rules.get(rule).map_or("", |it| it.by.as_str());
                let status = StatusCode::TOO_MANY_REQUESTS;
                let sentence = "Too many impersonations were created.";
                let error = refusal(status, ClerkError::TOO_MANY_REQUESTS, by, sentence);
                (by, error.with_retry_after(whole_seconds(retry_after)))
            }
            Err(source) => {
                let (status, rule) = (StatusCode::SERVICE_UNAVAILABLE, "store");
                let sentence = "The rate limits cannot be counted.";
                let error = refusal(status, UNAVAILABLE, rule, sentence);
                (rule, error.with_source(source))
            }
        };
        telemetry::refused(Stage::RateLimit, rule, Facts::of(request));
        Err(error)
    }
}

impl<St> Clone for RateLimitLayer<St> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            rules: Arc::clone(&self.rules),
        }
    }
}

impl<St, S> Layer<S> for RateLimitLayer<St> {
    type Service = RateLimit<St, S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        RateLimit { inner, layer }
    }
}

/// Limits creates, see the [module](self).
#[derive(Debug)]
pub struct RateLimit<St, S> {
    inner: S,
    layer: RateLimitLayer<St>,
}

impl<St, S: Clone> Clone for RateLimit<St, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<St, S> Service<ActorTokenRequest> for RateLimit<St, S>
where
    St: RateLimitStore,
    S: Service<ActorTokenRequest, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<Limited<S::Future, St>, S::Response, BoxError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        if request.operation().kind() != OperationKind::Create {
            return ResponseFuture::called(Limited::new(self.inner.call(request), None));
        }
        let layer = self.layer.clone();
        let take = async move {
            let units = layer.take(&mut request).await?;
            Ok((units, request))
        };
        ResponseFuture::decided(&mut self.inner, take, |inner, (units, request)| {
            Limited::new(inner.call(request), Some(units))
        })
    }
}

/// The units of a call in flight. Dropped, they are given back if nothing was sent and nothing can be sent
/// any more.
struct Units<St: RateLimitStore> {
    /// `None` once the call is known to keep them.
    taken: Option<(Arc<St>, St::Receipt)>,
    watch: CallWatch,
}

impl<St: RateLimitStore> Drop for Units<St> {
    fn drop(&mut self) {
        let is_unsent = self.watch.close() == Outcome::NotSent;
        if let Some((store, receipt)) = self.taken.take().filter(|_| is_unsent) {
            store.give_back(receipt);
            telemetry::given_back();
        }
    }
}

pin_project! {
    /// A call and its units. The call is dropped before its outcome is read.
    pub struct Limited<F, St: RateLimitStore> {
        #[pin]
        call: Option<F>,
        units: Option<Units<St>>,
    }
}

impl<F, St: RateLimitStore> Limited<F, St> {
    fn new(call: F, units: Option<Units<St>>) -> Self {
        let call = Some(call);
        Self { call, units }
    }
}

impl<F, T, E, St> Future for Limited<F, St>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
    St: RateLimitStore,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let call = this.call.as_mut().as_pin_mut();
        let result = ready!(call.expect("polled after it was ready").poll(cx));
        this.call.set(None);
        let result = result.map_err(Into::into);
        // An error may show an effect that the watch does not, such as that of another client below.
        let is_unsent = result.as_ref().is_err_and(|error| {
            let error = error.downcast_ref::<Error>();
            error.is_none_or(|error| error.outcome() == Outcome::NotSent)
        });
        if let Some(mut units) = this.units.take() {
            units.taken = units.taken.take().filter(|_| is_unsent);
        }
        Poll::Ready(result)
    }
}

impl<F, St: RateLimitStore> fmt::Debug for Limited<F, St> {
    /// Leaves out the inner future, because it may contain a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").finish_non_exhaustive()
    }
}
