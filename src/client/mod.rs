//! [`Client`], the whole stack behind one type.

mod assemble;
mod builder;
mod config_error;
#[cfg(feature = "transport")]
mod env;
mod insert;
mod lease;
mod stack;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    builder::ClientBuilder,
    config_error::ConfigError,
    lease::Lease,
    stack::{
        AttemptLevel, AttemptService, CallLevel, CallService, CustomTransport, Layers,
        ObserverLevel, ObserverService, SingleAttempt, Transport, WireLevel, WireService,
    },
};
// What the methods of a client and its builder take and return.
#[doc(inline)]
pub use crate::layer::{
    ApiVersion,
    retry::Verdict,
    settle::{DrainReport, SettleCounts, SettleEnd, SettleEvent},
};
use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, BoxError, CreateActorToken, Error,
    layer::{SettleLayer, TypedErrorLayer, settle::Settler},
};

/// A client of the two operations: the stack of layers, boxed once.
///
/// Cloning is cheap, and all clones share connections and the retry budget. It is itself a
/// `Service<ActorTokenRequest>`, so that it can stand in any stack.
///
/// # Cancel safety
///
/// Dropping the future of a call gives the call up: no further attempt is made. A create that was sent
/// by then is followed in the background, and what it mints is revoked; see [`SettleLayer`]. Call
/// [`drain`](Self::drain) before the runtime ends.
#[derive(Clone)]
pub struct Client {
    service: BoxService,
    settler: Arc<Settler>,
}

type BoxService = BoxCloneSyncService<ActorTokenRequest, ActorToken, Error>;

impl Client {
    /// Makes a client over any service of [`ActorTokenRequest`]s: a stack of your own, or a test
    /// double.
    ///
    /// If a [`SettleLayer`] stands in that stack, name it by [`settled_by`](Self::settled_by).
    ///
    /// ```
    /// use clerk_actor_tokens::{ActorToken, ActorTokenRequest, ActorTokenStatus, BoxError, Client};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), clerk_actor_tokens::Error> {
    /// let double = Client::new(tower::service_fn(|_: ActorTokenRequest| async {
    ///     let id = "act_1".parse()?;
    ///     Ok::<_, BoxError>(ActorToken::new(id, ActorTokenStatus::Revoked))
    /// }));
    /// let token = double.revoke(&"act_1".parse().unwrap()).await?;
    /// assert_eq!(token.status(), &ActorTokenStatus::Revoked);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new<S>(service: S) -> Self
    where
        S: Service<ActorTokenRequest, Response = ActorToken> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let service = BoxService::new(TypedErrorLayer::new().layer(service));
        let settler = Settler::over(service.clone());
        Self { service, settler }
    }

    /// Makes a client of a stack whose errors are typed and whose creates `settler` settles.
    fn assembled<S: ObserverService>(service: S, settler: Arc<Settler>) -> Self {
        let service = BoxService::new(service);
        Self { service, settler }
    }

    /// Names the settle layer in a stack of your own, so that [`drain`](Self::drain) and
    /// [`settle_counts`](Self::settle_counts) include what that layer settles.
    #[must_use]
    pub fn settled_by(self, layer: &SettleLayer) -> Self {
        let settler = layer.settler(self.service.clone());
        Self { settler, ..self }
    }

    /// Mints a token.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind); [`Error::outcome`] says whether a token may exist.
    pub async fn create(&self, create: CreateActorToken) -> Result<ActorToken, Error> {
        self.send(create).await
    }

    /// Revokes a pending token.
    ///
    /// A [`Ticket`](crate::Ticket) you still hold is not updated: unless it was read or
    /// [claimed](crate::Ticket::claim), its token is revoked again when it is dropped. A
    /// [`lease`](Self::lease) revokes the token that it holds.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). A token that has been used is
    /// [`ErrorKind::AlreadyAccepted`](crate::ErrorKind::AlreadyAccepted): a session is live.
    pub async fn revoke(&self, id: &ActorTokenId) -> Result<ActorToken, Error> {
        self.send(ActorTokenRequest::revoke(id.clone())).await
    }

    /// Sends a request, which may have options of its own.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub async fn send(&self, request: impl Into<ActorTokenRequest>) -> Result<ActorToken, Error> {
        self.service.clone().oneshot(request.into()).await
    }

    /// Mints a token that is revoked when the [`Lease`] is dropped, even if its ticket was read.
    ///
    /// # Errors
    ///
    /// See [`create`](Self::create). A request to revoke is refused before it is sent.
    pub async fn lease(&self, create: impl Into<ActorTokenRequest>) -> Result<Lease, Error> {
        Lease::begin(self.clone(), create.into()).await
    }

    /// Waits until no create is in flight and every lost token is settled, for at most `limit`. Tokens
    /// that are not settled by then are reported; creates that callers still wait for go on. A call that
    /// begins later, or that is between two attempts, is not waited for.
    ///
    /// Call it before the process or its runtime ends.
    ///
    /// ```
    /// use std::time::Duration;
    /// use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
    /// let sandbox = Sandbox::new();
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
    /// let unread = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
    /// drop(unread);
    ///
    /// let report = client.drain(Duration::from_secs(10)).await;
    /// assert!(report.is_complete());
    /// assert_eq!(report.counts().revoked, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the wait, nothing else.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.settler.drain(limit).await
    }

    /// Returns how many tokens that their callers did not get met which end so far.
    #[must_use]
    pub fn settle_counts(&self) -> SettleCounts {
        self.settler.counts()
    }

    pub(crate) fn settler(&self) -> &Arc<Settler> {
        &self.settler
    }
}

impl Service<ActorTokenRequest> for Client {
    type Response = ActorToken;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> ResponseFuture {
        ResponseFuture {
            inner: self.service.call(request),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A call of a [`Client`].
pub struct ResponseFuture {
    inner: Pin<Box<dyn Future<Output = Result<ActorToken, Error>> + Send>>,
}

impl Future for ResponseFuture {
    type Output = Result<ActorToken, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
