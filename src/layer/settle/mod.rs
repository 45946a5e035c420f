//! Settles what a create may have minted when its caller is gone or its response cannot be used.
//!
//! Every token that was minted is returned, revoked or reported.
//!
//! | what happens to a create | what this layer does |
//! |---|---|
//! | it is dropped before the request is sent | withdraws the request, which can then never be sent |
//! | it is dropped afterwards: cancelled, timed out, given up by a layer above | follows it in the background and revokes what it mints |
//! | its response breaks off, is too long or does not decode | revokes the token whose id can be read |
//! | its response is dropped on its way up, or its [`Ticket`](crate::Ticket) is dropped unread | revokes the token |
//! | its response is about another user | reports that token, and leaves it alone |
//! | its response is lost before the id | reports until when a token could be used |
//!
//! [`on_settle`](SettleLayer::on_settle), [counters](SettleLayer::counts) and an event of `tracing`
//! report each token that was revoked or could not be.
//!
//! # Position
//!
//! Directly above [`CollectBodyLayer`](super::CollectBodyLayer), lowest but one of the attempt level, so
//! that it covers a drop in any layer above: retry, both timeouts, the layers of users, the caller. It
//! turns the bytes of a response into a [`TokenResponse`], which carries the guard of the token that it
//! mints; so it cannot stand twice in a stack. A stack without settling uses
//! [`SettleLayer::disabled`].
//!
//! The compensating revoke of a lost token begins here. It passes the wire level, including the wire
//! layers of users, and no layer above. It has limits of its own: at most five attempts of 10 s each
//! within 60 s, `Retry-After` honoured, 32 such revokes at once.
//!
//! [`JsonLayer`](super::JsonLayer) must stand above: it moves the guard to the token's ticket. Without
//! it every token is revoked.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
//!
//! // The ticket of this token is never read.
//! let token = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
//! drop(token);
//!
//! let report = client.drain(Duration::from_secs(5)).await;
//! assert_eq!(report.counts().revoked, 1);
//! assert_eq!(sandbox.ledger().pending().count(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future of a create that was sent moves the exchange to a background task of the runtime,
//! for 30 s at most. Nothing else is spawned, and nothing at all for a revoke.
//!
//! # Errors
//!
//! [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) when as many creates are in flight as
//! [are allowed](SettleLayer::max_creates), and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime)
//! outside of a tokio runtime. Both before anything is sent.
//!
//! # What is not promised
//!
//! A process that is killed or loses power settles nothing. A token then ends with its lifetime, so keep
//! that short. A response that is lost before the id leaves nothing to revoke: it is reported, with the
//! time until which a token could be used. When the runtime shuts down, tokens that are still being
//! settled are reported at once; call [`drain`](SettleLayer::drain) before.

mod event;
mod exchange;
mod obligation;
mod settler;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use self::settler::{Config, Revokes, Shared};
pub use self::{
    event::{DrainReport, SettleCounts, SettleEvent},
    exchange::ResponseFuture,
};
pub(crate) use self::{
    obligation::{Origin, TokenGuard, without_body_headers},
    settler::Settler,
};
pub use crate::settle_end::SettleEnd;
use crate::{Body, BoxError, OperationKind, TokenResponse, layer::TraceLayer};

/// Layer of [`Settle`]. All services that one layer makes, and its clones, share the counters, the
/// limit of creates, and what is drained.
#[derive(Clone)]
pub struct SettleLayer {
    config: Config,
    shared: Arc<Shared>,
}

impl Default for SettleLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl SettleLayer {
    /// Settles creates: at most 1024 in flight at once, lost ones followed for 30 s.
    pub fn new() -> Self {
        Self {
            config: Config::default(),
            shared: Arc::default(),
        }
    }

    /// Makes a layer that settles nothing: a token that is minted and lost stays live until it expires,
    /// unreported.
    pub fn disabled() -> Self {
        let mut layer = Self::new();
        layer.config.enabled = false;
        layer
    }

    /// Sets how many creates may be in flight at once, including lost ones that are followed. One more
    /// is refused before anything is sent. Default: 1024.
    #[must_use]
    pub fn max_creates(mut self, creates: usize) -> Self {
        self.config.set_max_creates(creates);
        self
    }

    /// Sets how long a lost create is followed. Default: 30 s.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// Sets whether a token is revoked when its [`Ticket`](crate::Ticket) is dropped unread.
    /// Default: true.
    #[must_use]
    pub fn revoke_unread(mut self, revoke: bool) -> Self {
        self.config.revoke_unread = revoke;
        self
    }

    /// Calls `hook` with what became of every token that its caller did not get. It may run inside
    /// `Drop` and must not block. A panic in it is caught.
    #[must_use]
    pub fn on_settle<F>(mut self, hook: F) -> Self
    where
        F: Fn(&SettleEvent) + Send + Sync + 'static,
    {
        self.config.hook = Some(Arc::new(hook));
        self
    }

    /// Sets how the attempts of compensating revokes are traced. Default: spans at the level INFO; in a
    /// [`ClientBuilder`](crate::ClientBuilder), its [`trace`](crate::ClientBuilder::trace) layer.
    #[must_use]
    pub fn trace(mut self, trace: TraceLayer) -> Self {
        self.config.trace = trace;
        self
    }

    /// Returns this layer, with the hook of an `earlier` one if it has none.
    pub(crate) fn or_hook_of(mut self, earlier: &Self) -> Self {
        self.config.hook = self.config.hook.or_else(|| earlier.config.hook.clone());
        self
    }

    /// Returns a settler that revokes by `revokes` and shares everything else with this layer.
    pub(crate) fn settler(&self, revokes: Revokes) -> Arc<Settler> {
        Settler::new(revokes, self.config.clone(), Arc::clone(&self.shared))
    }

    /// Returns how many tokens met which end so far.
    pub fn counts(&self) -> SettleCounts {
        self.shared.counts()
    }

    /// Waits until no create is in flight and every lost token is settled, for at most `limit`. Tokens
    /// that are not settled by then are reported; creates that callers still wait for go on. A call that
    /// begins later, or that is between two attempts, is not waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the wait, nothing else.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.shared.drain(limit).await
    }
}

impl fmt::Debug for SettleLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettleLayer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for SettleLayer
where
    S: Service<Request<Body>, Response = Response<Bytes>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let revokes = settler::compensating(inner.clone(), &self.config.trace);
        Settle {
            inner,
            settler: self.settler(revokes),
        }
    }
}

/// Settles what a create may have minted, see the [module](self).
#[derive(Clone)]
pub struct Settle<S> {
    inner: S,
    settler: Arc<Settler>,
}

impl<S> Settle<S> {
    pub(crate) fn settler(&self) -> &Arc<Settler> {
        &self.settler
    }
}

impl<S> fmt::Debug for Settle<S>
where
    S: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for Settle<S>
where
    S: Service<Request<Body>, Response = Response<Bytes>, Error = BoxError> + Clone,
    S::Future: Send + 'static,
{
    type Response = Response<TokenResponse>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let body = request.body();
        let is_settled = body.kind() == OperationKind::Create && self.settler.is_enabled();
        let guard = is_settled.then(|| TokenGuard::of_create(&self.settler, &request));
        match guard.transpose() {
            Ok(guard) => {
                let attempt = request.body().attempt_handle();
                ResponseFuture::new(attempt, guard, self.inner.call(request))
            }
            Err(error) => {
                // Releases the reserved readiness, such as a concurrency permit.
                self.inner = self.inner.clone();
                ResponseFuture::refused(error.into())
            }
        }
    }
}
