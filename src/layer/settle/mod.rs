//! Revokes or reports the token of a create whose caller does not get it.
//!
//! Every token that was minted is returned, revoked or reported.
//!
//! | create | this layer |
//! |---|---|
//! | dropped before the request is sent | withdraws the request, so that it can never be sent |
//! | dropped later, by a cancelled call, a timeout or a layer above | follows it in the background and revokes its token |
//! | with a response that is incomplete, too long or unreadable | revokes the token if its id can be read |
//! | with a response that is dropped, or a [`Ticket`](crate::Ticket) that is dropped unread | revokes the token |
//! | with a response about another user | reports that token without revoking it |
//! | with a response that is lost before the id | reports the time until which a token could be used |
//!
//! [`on_settle`](SettleLayer::on_settle), the [counters](SettleLayer::counts) and a `tracing` event report
//! each end.
//!
//! # Position
//!
//! Directly above [`CollectBodyLayer`](super::CollectBodyLayer) and below every layer that can drop an
//! attempt: retry, the timeouts, the layers of users. It turns the bytes of a response into a
//! [`TokenResponse`] with the guard of the token, so it cannot stand twice in a stack.
//! [`JsonLayer`](super::JsonLayer) must stand above, because it moves the guard to the token's ticket;
//! without it every token is revoked. A stack without settling uses [`SettleLayer::disabled`].
//!
//! The compensating revoke of a lost token passes the layers below, including the wire layers of users.
//! It makes at most five attempts of 10 s each within 60 s and honours `Retry-After`. At most 32 such
//! revokes are concurrent.
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
//! let unread = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
//! drop(unread);
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
//! Dropping the future of a create that was sent moves the exchange to a background task, for at most
//! 30 s. Dropping the future of a revoke cancels it.
//!
//! # Errors
//!
//! Before anything is sent: [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) above the limit of
//! [`max_creates`](SettleLayer::max_creates), and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) outside
//! of a tokio runtime.
//!
//! # Limits
//!
//! A process that is killed settles nothing: its tokens live until they expire, so keep their lifetime
//! short. A response that is lost before the id leaves nothing to revoke and is reported. When the
//! runtime shuts down, tokens that are not settled are reported at once; call
//! [`drain`](SettleLayer::drain) before.

mod event;
mod exchange;
mod obligation;
mod settler;

use std::{
    fmt,
    future::ready,
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

/// Layer of [`Settle`]. The services of one layer and of its clones share the counters and the limit of
/// creates, and are drained together.
#[derive(Clone, Default)]
pub struct SettleLayer {
    config: Config,
    shared: Arc<Shared>,
}

impl SettleLayer {
    /// Creates a layer with the default of each setting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a layer that settles nothing. A lost token is not reported and lives until it expires.
    pub fn disabled() -> Self {
        let mut layer = Self::new();
        layer.config.enabled = false;
        layer
    }

    /// Sets how many creates may be in flight, followed ones included. One more is refused before anything
    /// is sent. Default: 1024.
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

    /// Calls `hook` with the end of each token that its caller did not get. It may run inside `Drop` and
    /// must not block. A panic in it is caught.
    #[must_use]
    pub fn on_settle<F>(mut self, hook: F) -> Self
    where
        F: Fn(&SettleEvent) + Send + Sync + 'static,
    {
        self.config.hook = Some(Arc::new(hook));
        self
    }

    /// Sets the spans of compensating revokes. Default: level INFO, or in a client the layer of
    /// [`ClientBuilder::trace`](crate::ClientBuilder::trace).
    #[must_use]
    pub fn trace(mut self, trace: TraceLayer) -> Self {
        self.config.trace = trace;
        self
    }

    /// Returns this layer, with the hook of `earlier` if it has none.
    pub(crate) fn or_hook_of(mut self, earlier: &Self) -> Self {
        self.config.hook = self.config.hook.or_else(|| earlier.config.hook.clone());
        self
    }

    /// Returns a settler that revokes by `revokes` and shares the rest with this layer.
    pub(crate) fn settler(&self, revokes: Revokes) -> Arc<Settler> {
        Settler::new(revokes, self.config.clone(), Arc::clone(&self.shared))
    }

    /// Returns the number of tokens with each end so far.
    pub fn counts(&self) -> SettleCounts {
        self.shared.counts()
    }

    /// Waits until every lost token is settled, see [`Client::drain`](crate::Client::drain).
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.shared.drain(limit).await
    }
}

crate::text::opaque_debug!(SettleLayer, |it|
    enabled: it.config.enabled, max_creates: it.config.max_creates, grace: it.config.grace,
    revoke_unread: it.config.revoke_unread, hook: it.config.hook.is_some());

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

/// Revokes or reports lost tokens, see the [module](self).
#[derive(Clone)]
pub struct Settle<S> {
    inner: S,
    pub(crate) settler: Arc<Settler>,
}

impl<S: fmt::Debug> fmt::Debug for Settle<S> {
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
        let is_settled = body.kind() == OperationKind::Create && self.settler.config.enabled;
        let guard = is_settled.then(|| TokenGuard::of_create(&self.settler, &request));
        let attempt = request.body().attempt_handle();
        match guard.transpose() {
            Ok(guard) => ResponseFuture::new(attempt, guard, self.inner.call(request)),
            Err(error) => {
                // Releases the reserved readiness, such as a concurrency permit.
                self.inner = self.inner.clone();
                ResponseFuture::new(attempt, None, ready(Err(error.into())))
            }
        }
    }
}
