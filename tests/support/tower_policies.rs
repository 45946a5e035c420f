//! Policies for tower's retry and hedge.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    future::{Ready, ready},
    time::Duration,
};

use clerk_actor_tokens::BoxError;
use tower::{
    Service,
    hedge::{self, Hedge},
    retry::{Policy, RetryLayer},
};

/// Retries once after an error that `retries` accepts.
#[derive(Clone)]
pub(crate) struct RetryOnce<F = fn(&BoxError) -> bool> {
    left: bool,
    retries: F,
}

impl<E> RetryOnce<fn(&E) -> bool> {
    /// Retries once after any failure, even of a create that may have minted a token.
    pub(crate) fn always() -> RetryLayer<Self> {
        Self::after(|_| true)
    }

    pub(crate) fn after(retries: fn(&E) -> bool) -> RetryLayer<Self> {
        let left = true;
        RetryLayer::new(Self { left, retries })
    }
}

impl<Q: Clone, T, E> Policy<Q, T, E> for RetryOnce<fn(&E) -> bool> {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, result: &mut Result<T, E>) -> Option<Ready<()>> {
        let failed = result.as_ref().is_err_and(self.retries);
        (failed && std::mem::take(&mut self.left)).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

/// Hedges every request that is slow.
#[derive(Clone)]
pub(crate) struct HedgeAll;

impl<Q: Clone> hedge::Policy<Q> for HedgeAll {
    fn clone_request(&self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &Q) -> bool {
        true
    }
}

/// Hedges requests that take longer than 400 ms. The service is not `Clone`.
pub(crate) fn hedged<S, Q>(service: S) -> Hedge<S, HedgeAll>
where
    S: Service<Q, Error: Into<BoxError>> + Clone,
    Q: Clone,
{
    let (least, percentile, period) = (5, 0.5, Duration::from_secs(60));
    Hedge::new_with_mock_latencies::<Q>(service, HedgeAll, least, percentile, period, &[400; 10])
}
