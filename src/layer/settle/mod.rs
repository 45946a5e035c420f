//! Settles what a create may have minted when its caller is gone or its answer cannot be used.
//!
//! Of every credential that was minted one of three things becomes: it is returned, it is revoked, or
//! it is reported.
//!
//! | what happened to a create | what this layer does |
//! |---|---|
//! | dropped before the request was taken | nothing: it can never be sent any more |
//! | dropped afterwards: cancelled, timed out, a layer above gave it up | follows it in the background, and revokes what it mints |
//! | its answer broke off, is too long or does not decode | revokes the token whose id could be read |
//! | its answer was dropped on its way up, or its [`Ticket`](crate::Ticket) before anybody read it | revokes the token |
//! | its answer speaks of another user | reports it, and leaves that token alone |
//! | its answer was lost before the id came | reports until when a token could be used |
//!
//! What was revoked, and what could not be, is told by [`on_settle`](SettleLayer::on_settle), by
//! [counters](SettleLayer::counts) and by an event of `tracing`.
//!
//! # Position
//!
//! Lowest of the attempt level but for [`CollectBodyLayer`](super::CollectBodyLayer), so that a drop
//! in any layer above is covered: retry, both time-outs, the layers of users, the caller. The revoke
//! that makes good for a lost create begins right here. It passes the wire level, and so the attempt
//! layers of users, but no limit, budget or time-out of the call level. It has its own: at most five
//! tries of 10 s each within 60 s, `Retry-After` honoured, 32 such revokes at once.
//!
//! [`JsonLayer`](super::JsonLayer) must stand above: it hands a token over to its ticket. Without it
//! nobody answers for what is minted, and all of it is revoked.
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
//! // Nobody reads the ticket of this token.
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
//! Dropping the future of a create whose request was taken moves the exchange to a background task of
//! the runtime, for 30 s at most. Nothing is spawned otherwise, and nothing at all for a revoke.
//!
//! # Errors
//!
//! [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) when as many creates are on their way as
//! [are allowed](SettleLayer::max_creates), and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) when
//! a create is called where no background task could be spawned. Both before anything is sent.
//!
//! # What is not promised
//!
//! A process that is killed, or loses power, settles nothing any more; what a token could do then ends
//! with its life, so keep that short. An answer that is lost before the id arrived leaves nothing to
//! revoke: it is reported, with the time until which a token could be used. When the runtime is shut
//! down, what is still being settled is reported as lost at once; call
//! [`drain`](SettleLayer::drain) before.
//!
//! A layer below this one that sends a create more than once, a retry among the wire layers for one,
//! lets only one of the answers be seen. The others are reported together, as one credential that may
//! exist. A layer below that makes a refusal's *response* of what the API answered is believed.

mod compensate;
mod config;
mod drain;
mod event;
mod evidence;
mod exchange;
mod future;
mod minted;
mod settler;
mod unsettled;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use self::{compensate::Revokes, config::Config, settler::Shared};
pub use self::{
    drain::DrainReport,
    event::{SettleCounts, SettleEvent},
    future::ResponseFuture,
};
pub(crate) use self::{
    settler::Settler,
    unsettled::{Origin, Unsettled, take_body_headers},
};
pub use crate::settle_end::SettleEnd;
use crate::{Body, BoxError, OperationKind, layer::TraceLayer};

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
    /// Settles creates: at most 1024 on their way at once, lost ones followed for 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: Config::default(),
            shared: Arc::default(),
        }
    }

    /// A layer that does nothing: what is minted and lost stays live until it expires, and nobody
    /// knows of it.
    #[must_use]
    pub fn disabled() -> Self {
        let mut layer = Self::new();
        layer.config.enabled = false;
        layer
    }

    /// The most creates on their way at once, lost ones that are followed included. One more is
    /// refused before anything is sent. Default: 1024.
    #[must_use]
    pub fn max_creates(mut self, creates: usize) -> Self {
        self.config.max_creates = creates;
        self
    }

    /// How long a lost create is followed. Default: 30 s.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// Whether a token whose [`Ticket`](crate::Ticket) nobody read is revoked when the ticket is
    /// dropped. Default: true.
    #[must_use]
    pub fn revoke_unread(mut self, revoke: bool) -> Self {
        self.config.revoke_unread = revoke;
        self
    }

    /// Tells `hook` what became of every credential that its caller did not get. It is called where
    /// that shows, also in destructors, so it must neither block nor wait. A panic in it goes no
    /// further.
    #[must_use]
    pub fn on_settle<F>(mut self, hook: F) -> Self
    where
        F: Fn(&SettleEvent) + Send + Sync + 'static,
    {
        self.config.hook = Some(Arc::new(hook));
        self
    }

    /// How the attempts of compensating revokes are traced. Default: spans at the level INFO, as those
    /// of the calls; part of a [`ClientBuilder`](crate::ClientBuilder), as its
    /// [`trace`](crate::ClientBuilder::trace) says.
    #[must_use]
    pub fn trace(mut self, trace: TraceLayer) -> Self {
        self.config.trace = trace;
        self
    }

    /// This layer, with the hook of an `earlier` one if it has none.
    pub(crate) fn or_hook_of(mut self, earlier: &Self) -> Self {
        self.config.hook = self.config.hook.or_else(|| earlier.config.hook.clone());
        self
    }

    /// What settles by `revokes`, and shares everything else with this layer.
    pub(crate) fn settler(&self, revokes: Revokes) -> Arc<Settler> {
        Settler::new(revokes, self.config.clone(), Arc::clone(&self.shared))
    }

    /// How many credentials met which end so far.
    #[must_use]
    pub fn counts(&self) -> SettleCounts {
        self.shared.counts()
    }

    /// Waits until no create is on its way and everything lost is settled, `limit` at most. What is
    /// not settled by then is given up and reported; creates that callers still wait for go on. A call
    /// that begins later, or pauses before its next attempt, is not waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the waiting, nothing else.
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
    S: Service<Request<Body>, Response = Response<Full<Bytes>>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let settler = self.settler(compensate::service(inner.clone(), &self.config.trace));
        Settle { inner, settler }
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
    S: Service<Request<Body>, Response = Response<Full<Bytes>>> + Clone,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if request.body().kind() != OperationKind::Create || !self.settler.is_enabled() {
            return ResponseFuture::passed(self.inner.call(request));
        }
        match self.settler.admit(&mut request) {
            Ok(custody) => ResponseFuture::held(custody, self.inner.call(request)),
            Err(error) => {
                // What was polled ready is let go, so that its capacity is free for others.
                self.inner = self.inner.clone();
                ResponseFuture::refused(error)
            }
        }
    }
}
