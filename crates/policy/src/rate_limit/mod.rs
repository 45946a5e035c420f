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
//! does not wait for units. It has a [`TypedErrorLayer`] in it, which closes the record of the call, so
//! that nothing can be sent after the units are given back. That proof needs the client's layers below:
//! a service of another kind that is dropped counts as not sent. The service is always ready, and a call
//! takes its units before it waits for the layers below.
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
//! cannot be reached. The error is an [`Error`], as that of [`TypedErrorLayer`].

mod limit;
mod memory;
mod store;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use clerk_actor_tokens::{
    ActorTokenRequest, BoxError, CallWatch, ClerkError, Error, OperationKind, Outcome,
    layer::{TypedErrorLayer, typed_error::TypedError},
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
    authorize::refusal,
    future::take_ready,
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
    async fn take(self, request: &ActorTokenRequest) -> Result<(Arc<St>, St::Receipt), Error> {
        let rules = self.rules.iter();
        let keys: Vec<_> = rules.map(|rule| rule.key(request)).collect();
        let rules = self.rules.iter().zip(&keys);
        let cells: Vec<_> = rules
            .map(|(rule, key)| Cell::new(key, rule.interval, rule.burst))
            .collect();
        let (rule, error) = match self.store.take(&cells).await {
            Ok(Taken::Yes(receipt)) => {
                telemetry::passed(Stage::RateLimit);
                return Ok((self.store, receipt));
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

/// Rounds up, so that no caller tries again too early.
pub(crate) fn whole_seconds(time: Duration) -> Duration {
    let seconds = time.as_secs();
    Duration::from_secs(seconds.saturating_add((time.subsec_nanos() > 0).into()))
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
        RateLimit {
            inner: TypedErrorLayer::new().layer(inner),
            layer: self.clone(),
        }
    }
}

/// Limits creates, see the [module](self).
#[derive(Debug)]
pub struct RateLimit<St, S> {
    inner: TypedError<S>,
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
    type Error = Error;
    type Future =
        ResponseFuture<<TypedError<S> as Service<ActorTokenRequest>>::Future, S::Response, Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        if request.operation().kind() != OperationKind::Create {
            return ResponseFuture::called(self.inner.call(request));
        }
        let mut inner = take_ready(&mut self.inner);
        let layer = self.layer.clone();
        ResponseFuture::waiting(async move {
            let (store, receipt) = layer.take(&request).await?;
            let watch = request.watch();
            // The units are given back even if `call` panics.
            let mut limited = Limited {
                call: None,
                units: Some(Units {
                    store,
                    receipt,
                    watch,
                }),
            };
            limited.call = Some(inner.call(request));
            limited.await
        })
    }
}

/// The units of a call in flight.
struct Units<St: RateLimitStore> {
    store: Arc<St>,
    receipt: St::Receipt,
    watch: CallWatch,
}

impl<St: RateLimitStore> Units<St> {
    /// Gives the units back if the call ended before anything was sent.
    fn end(self, outcome: Outcome) {
        if outcome == Outcome::NotSent {
            self.store.give_back(self.receipt);
            telemetry::given_back();
        }
    }
}

pin_project! {
    /// A call and its units. The call is dropped before its outcome is read.
    struct Limited<F, St: RateLimitStore> {
        #[pin]
        call: Option<F>,
        units: Option<Units<St>>,
    }

    impl<F, St: RateLimitStore> PinnedDrop for Limited<F, St> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.call.set(None);
            if let Some(units) = this.units.take() {
                let outcome = units.watch.outcome();
                units.end(outcome);
            }
        }
    }
}

impl<F, T, St> Future for Limited<F, St>
where
    F: Future<Output = Result<T, Error>>,
    St: RateLimitStore,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let call = this.call.as_mut().as_pin_mut();
        let result = ready!(call.expect("polled after it was ready").poll(cx));
        this.call.set(None);
        if let Some(units) = this.units.take() {
            let outcome = result.as_ref().err().map(Error::outcome);
            units.end(outcome.unwrap_or(Outcome::Applied));
        }
        Poll::Ready(result)
    }
}
