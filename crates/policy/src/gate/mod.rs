//! Holds attempts back after a 429, so that one caller's rate limit is every caller's.
//!
//! A 429 of the API closes the [`Gate`] of its [`Scope`]: the account and the kind of operation. While the
//! gate is closed, an attempt gets the next slot and waits for it. Slots are one step apart, so that
//! callers who wait do not leave together. An attempt whose slot comes too late for it is refused at once.
//!
//! # Position
//!
//! An attempt layer: below retry, so that each attempt passes the gate, and above trace, because inside an
//! attempt the wait would use up the attempt's time and a place of
//! [`SettleLayer::max_creates`](clerk_actor_tokens::layer::SettleLayer::max_creates). An attempt that
//! waits gives up the readiness of the layers below, and gets it again afterwards.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use clerk_actor_tokens::{
//!     Actor, ClientBuilder, CreateActorToken, RetryConfig, sandbox::{Fault, Sandbox},
//! };
//! use clerk_actor_tokens_policy::{GateLayer, MemoryGate};
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .retry(RetryConfig::disabled())
//!     .attempt_layer(GateLayer::new(MemoryGate::new(), "production"))
//!     .build()?;
//! let create = || CreateActorToken::new("user_subject", Actor::new("user_admin"));
//!
//! sandbox.inject(Fault::RateLimited { retry_after: Duration::from_secs(3) });
//! let begun = Instant::now();
//! assert!(client.create(create()).await.is_err());
//! client.create(create()).await?; // another caller waits as well
//! assert!(begun.elapsed() >= Duration::from_secs(3));
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future while it waits sends nothing and leaves its slot empty.
//!
//! # Errors
//!
//! [`Error::refused`] with 429, the code [`ClerkError::TOO_MANY_REQUESTS`] and [`Error::retry_after`] in
//! whole seconds, rounded up, if the slot comes later than the [patience](GateLayer::patience) or the
//! call's deadline allows; the default retry does not repeat it. A create is refused with 503 and the code
//! [`UNAVAILABLE`] if the state of the gate is not known. Errors of the inner service pass unchanged.

mod memory;
mod pass;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{
    BoxError, ClerkError, Error, OperationKind, Outcome, Payload, TokenResponse,
};
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, sleep};
use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    memory::MemoryGate,
    pass::{Gate, Pass, Scope},
};
pub use crate::future::ResponseFuture;
use crate::{
    future::{readied, take_ready},
    refusal::{refusal, whole_seconds},
    telemetry::{self, Stage},
};

/// The code of the error of a create for which the state of the gate is not known.
pub const UNAVAILABLE: &str = "gate_unavailable";

/// Layer of [`Gated`].
#[derive(Debug)]
pub struct GateLayer<G> {
    gate: Arc<G>,
    account: Arc<str>,
    patience: Duration,
    jitter: Duration,
}

impl<G: Gate> GateLayer<G> {
    /// Sends attempts through `gate`. `account` names what has the rate limit at the API, such as
    /// `production`.
    pub fn new(gate: G, account: impl Into<Arc<str>>) -> Self {
        Self {
            gate: Arc::new(gate),
            account: account.into(),
            patience: Duration::from_secs(10),
            jitter: Duration::from_millis(25),
        }
    }

    /// Limits the wait of an attempt, also by the call's deadline. Default: 10 s.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Sets the longest random delay after a slot. Default: 25 ms.
    #[must_use]
    pub fn jitter(mut self, longest: Duration) -> Self {
        self.jitter = longest;
        self
    }

    /// Waits until the attempt may be sent and `inner` is ready. Returns its epoch, if the state of the
    /// gate is known. While it waits, `inner` is replaced by a clone, which releases the reserved
    /// readiness.
    async fn pass<S>(
        &self,
        scope: &Scope,
        deadline: Option<Instant>,
        inner: &mut S,
    ) -> Result<Option<u64>, BoxError>
    where
        S: Service<Request<Payload>, Error = BoxError> + Clone,
    {
        let patience_ends = Instant::now().checked_add(self.patience);
        let end = patience_ends.into_iter().chain(deadline).min();
        loop {
            let left = |end: Instant| end.saturating_duration_since(Instant::now());
            let left = end.map_or(Duration::MAX, left).saturating_sub(self.jitter);
            let epoch = match self.gate.pass(scope, left).await {
                Ok(Pass::Go { epoch }) => Some(epoch),
                Ok(Pass::Wait { epoch, slot }) => {
                    *inner = inner.clone();
                    let wait = slot.saturating_add(self.jitter.mul_f64(fastrand::f64()));
                    telemetry::attempt_waits(scope.kind, wait);
                    sleep(wait).await;
                    Some(epoch)
                }
                Ok(Pass::No { retry_after }) => return Err(closed(scope, retry_after).into()),
                Err(source) if scope.kind == OperationKind::Create => {
                    return Err(unavailable(scope).with_source(source).into());
                }
                // A revoke is never held back.
                Err(_) => None,
            };
            readied(inner).await?;
            // The gate may have closed meanwhile.
            if epoch.is_none_or(|epoch| self.gate.epoch(scope) == epoch) {
                return Ok(epoch);
            }
        }
    }

    /// Closes the gate if the API responded with 429.
    fn note(&self, scope: &Scope, epoch: u64, error: &BoxError) {
        let error = error.downcast_ref::<Error>();
        // A layer below that makes up a 429 has sent nothing.
        let is_api = |it: &&Error| it.is_rate_limited() && it.outcome() == Outcome::Rejected;
        if let Some(error) = error.filter(is_api) {
            telemetry::gate_closed(scope.kind, error.retry_after());
            self.gate.close(scope, epoch, error.retry_after());
        }
    }
}

fn closed(scope: &Scope, retry_after: Duration) -> Error {
    telemetry::attempt_refused(scope.kind, "gate", Some(retry_after));
    let status = StatusCode::TOO_MANY_REQUESTS;
    let sentence = "The API limits the rate of requests, and the next slot comes too late.";
    refusal(status, ClerkError::TOO_MANY_REQUESTS, "gate", sentence)
        .with_retry_after(whole_seconds(retry_after))
}

fn unavailable(scope: &Scope) -> Error {
    telemetry::attempt_refused(scope.kind, "store", None);
    let sentence = "The rate limit of the API is not known.";
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        UNAVAILABLE,
        "store",
        sentence,
    )
}

impl<G> Clone for GateLayer<G> {
    fn clone(&self) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            account: Arc::clone(&self.account),
            ..*self
        }
    }
}

impl<G, S> Layer<S> for GateLayer<G> {
    type Service = Gated<G, S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Gated { inner, layer }
    }
}

/// Holds attempts back after a 429, see the [module](self).
#[derive(Debug)]
pub struct Gated<G, S> {
    inner: S,
    layer: GateLayer<G>,
}

impl<G, S: Clone> Clone for Gated<G, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<G, S> Service<Request<Payload>> for Gated<G, S>
where
    G: Gate,
    S: Service<
            Request<Payload>,
            Response = Response<TokenResponse>,
            Error = BoxError,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    type Response = Response<TokenResponse>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, S::Response, BoxError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let layer = self.layer.clone();
        ResponseFuture::waiting(async move {
            let payload = request.body();
            let scope = Scope::new(Arc::clone(&layer.account), payload.kind());
            let epoch = layer.pass(&scope, payload.deadline(), &mut inner).await?;
            telemetry::passed(Stage::Gate);
            let result = inner.call(request).await;
            if let (Err(error), Some(epoch)) = (&result, epoch) {
                layer.note(&scope, epoch, error);
            }
            result
        })
    }
}
