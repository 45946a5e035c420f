//! [`Client`], the whole stack behind one type.

mod assemble;
mod builder;
mod config_error;
#[cfg(feature = "transport")]
mod env;
mod insert;
mod instances;
mod lease;
mod stack;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

use self::instances::{Instance, Instances};
pub use self::{
    builder::ClientBuilder,
    config_error::ConfigError,
    lease::Lease,
    stack::{
        AttemptLevel, CallLevel, CallService, CustomTransport, Transport, WireLevel, WireService,
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
/// Cloning is cheap, and all clones share connections and the budget of retries. It is itself a
/// `Service<ActorTokenRequest>`, so that it can stand in any stack.
///
/// # Cancel safety
///
/// Dropping the future of a call gives the call up: no further attempt is made. A create that was
/// given up after its request was taken is followed in the background, and what it mints is revoked;
/// see [`SettleLayer`]. Call [`drain`](Self::drain) before the runtime ends.
pub struct Client {
    instances: Arc<Instances>,
    /// What was polled ready, where the client is used as a service.
    own: Option<Instance>,
    settler: Arc<Settler>,
}

impl Client {
    /// A client over any service that answers [`ActorTokenRequest`]s: a stack of your own, or a test
    /// double.
    ///
    /// Where a [`SettleLayer`] stands in that stack, name it by [`settled_by`](Self::settled_by).
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
        let instance = Instance::new(TypedErrorLayer::new().layer(service));
        let settler = Settler::over(instance.clone());
        Self::over(instance, settler)
    }

    /// The client of a stack whose errors are typed and whose creates `settler` settles.
    fn assembled<S>(service: S, settler: Arc<Settler>) -> Self
    where
        S: CallService,
    {
        Self::over(Instance::new(service), settler)
    }

    fn over(instance: Instance, settler: Arc<Settler>) -> Self {
        Self {
            instances: Arc::new(Instances::new(instance)),
            own: None,
            settler,
        }
    }

    /// The same client, for a stack of your own in which `layer` stands: [`drain`](Self::drain) and
    /// [`settle_counts`](Self::settle_counts) then speak of what that layer settles, too.
    #[must_use]
    pub fn settled_by(self, layer: &SettleLayer) -> Self {
        let settler = layer.settler(self.instances.fresh());
        Self { settler, ..self }
    }

    /// Mints a token.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind); [`Error::outcome`] says whether a token may exist all
    /// the same.
    pub async fn create(&self, create: CreateActorToken) -> Result<ActorToken, Error> {
        self.instances.call(create).await
    }

    /// Revokes a pending token.
    ///
    /// The ticket of a token that you hold is none the wiser: unless it was read or
    /// [claimed](crate::Ticket::claim), its token is revoked once more when it is dropped, and reported where
    /// the runtime is gone by then. A [`lease`](Self::lease) revokes what it holds.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). A token that was used meanwhile is
    /// [`ErrorKind::AlreadyAccepted`](crate::ErrorKind::AlreadyAccepted): a session is live.
    pub async fn revoke(&self, id: &ActorTokenId) -> Result<ActorToken, Error> {
        let request = ActorTokenRequest::revoke(id.clone());
        self.instances.call(request).await
    }

    /// Sends a request with options of its own.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub async fn send(&self, request: impl Into<ActorTokenRequest>) -> Result<ActorToken, Error> {
        self.instances.call(request).await
    }

    /// Mints a token that is revoked when the [`Lease`] is dropped, whether its ticket was read or
    /// not.
    ///
    /// # Errors
    ///
    /// See [`create`](Self::create). A request to revoke is refused before it is sent.
    pub async fn lease(&self, create: impl Into<ActorTokenRequest>) -> Result<Lease, Error> {
        Lease::begin(self.clone(), create.into()).await
    }

    /// Waits until no create is on its way and everything lost is settled, `limit` at most. What is
    /// not settled by then is given up and reported; creates that callers still wait for go on. A call
    /// that begins later, or pauses before its next attempt, is not waited for.
    ///
    /// To be called before the process or its runtime ends.
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
    /// Dropping the future stops the waiting, nothing else.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.settler.drain(limit).await
    }

    /// How many credentials that their callers did not get met which end so far.
    #[must_use]
    pub fn settle_counts(&self) -> SettleCounts {
        self.settler.counts()
    }

    pub(crate) fn settler(&self) -> &Arc<Settler> {
        &self.settler
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self {
            instances: Arc::clone(&self.instances),
            own: None,
            settler: Arc::clone(&self.settler),
        }
    }
}

impl Service<ActorTokenRequest> for Client {
    type Response = ActorToken;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let own = self.own.get_or_insert_with(|| self.instances.fresh());
        own.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> ResponseFuture {
        let own = self.own.get_or_insert_with(|| self.instances.fresh());
        ResponseFuture {
            inner: own.call(request),
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
