//! [`Client`], the whole stack behind one type.

// In the order in which rustdoc lists the builder's methods: constructors, settings, layers, build, parts.
#[cfg(feature = "transport")]
mod env;

mod builder;
mod config_error;
mod insert;
mod lease;
#[cfg(feature = "sessions")]
mod sessions;
pub(crate) mod stack;

mod assemble;

use std::{
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
        AttemptLevel, AttemptService, CallLevel, CallService, ClientService, CustomTransport,
        DefaultTransport, Layers, ObserverLevel, ObserverService, SingleAttempt, Transport,
        WireLevel, WireService,
    },
};
// Parameters and results of a client and its builder.
#[doc(inline)]
pub use crate::layer::{
    ApiVersion,
    retry::Verdict,
    settle::{DrainReport, SettleCounts, SettleEnd, SettleEvent},
};
use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, CreateActorToken, Error,
    layer::{SettleLayer, TypedErrorLayer, settle::Settler},
};

/// A client of the two operations: the stack of layers, boxed once.
///
/// Clones are cheap and share connections and the retry budget. A client is itself a
/// `Service<ActorTokenRequest>`, and [`wrap`](Self::wrap) adds a layer around it.
///
/// # Cancel safety
///
/// Dropping the future of a call cancels the call: no further attempt begins. A create that was sent is
/// followed in the background, and its token is revoked, see [`SettleLayer`]. Call [`drain`](Self::drain)
/// before the runtime ends.
#[derive(Clone)]
pub struct Client {
    service: BoxService,
    pub(crate) parts: Parts,
}

/// What a client has beside the service of its calls.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) settler: Arc<Settler>,
    /// `None` over a service of the user's.
    #[cfg(feature = "sessions")]
    pub(crate) sessions: Option<crate::sessions::Sessions>,
}

type BoxService = BoxCloneSyncService<ActorTokenRequest, ActorToken, Error>;

impl Client {
    /// Creates a client over any service of [`ActorTokenRequest`]s: your own stack, or a test double.
    ///
    /// If the stack has a [`SettleLayer`], pass it to [`settled_by`](Self::settled_by). To add layers around
    /// a client use [`wrap`](Self::wrap), which keeps `drain` and `settle_counts`.
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
    /// let token = double.revoke("act_1").await?;
    /// assert_eq!(token.status(), &ActorTokenStatus::Revoked);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new<S: ClientService>(service: S) -> Self {
        let service = BoxService::new(TypedErrorLayer::new().layer(service));
        let parts = Parts {
            settler: Settler::over(service.clone()),
            #[cfg(feature = "sessions")]
            sessions: None,
        };
        Self { service, parts }
    }

    /// Returns a client whose calls pass `layer` first. It shares everything with this one:
    /// [`drain`](Self::drain), [`settle_counts`](Self::settle_counts) and leases work as before, and
    /// compensating revokes do not pass `layer`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
    /// use tower::limit::ConcurrencyLimitLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
    /// # let sandbox = Sandbox::new();
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
    /// let limited = client.wrap(ConcurrencyLimitLayer::new(16));
    ///
    /// drop(limited.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?);
    /// assert_eq!(limited.drain(Duration::from_secs(5)).await.counts().revoked, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn wrap<L>(self, layer: L) -> Self
    where
        L: Layer<Self, Service: CallService>,
    {
        let parts = self.parts.clone();
        let service = BoxService::new(TypedErrorLayer::new().layer(layer.layer(self)));
        Self { service, parts }
    }

    /// Creates a client over a stack with typed errors, and its other parts.
    fn assembled<S: ObserverService>(service: S, parts: Parts) -> Self {
        let service = BoxService::new(service);
        Self { service, parts }
    }

    /// Adds the tokens that the `layer` of your own stack settles to [`drain`](Self::drain) and
    /// [`settle_counts`](Self::settle_counts).
    #[must_use]
    pub fn settled_by(mut self, layer: &SettleLayer) -> Self {
        self.parts.settler = layer.settler(self.service.clone());
        self
    }

    /// Mints a token. **It is revoked when it is dropped before its [`Ticket`](crate::Ticket) was read or
    /// [claimed](crate::Ticket::claim).**
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind); [`Error::outcome`] says whether a token may exist.
    pub async fn create(&self, create: CreateActorToken) -> Result<ActorToken, Error> {
        self.send(create).await
    }

    /// Revokes a pending token by its [`ActorTokenId`], or by its id as text.
    ///
    /// A [`Ticket`](crate::Ticket) you still hold is not updated. When it is dropped unread, its token is
    /// revoked again.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). A token that was used is
    /// [`ErrorKind::AlreadyAccepted`](crate::ErrorKind::AlreadyAccepted): a session is live.
    pub fn revoke<I>(&self, id: I) -> impl Future<Output = Result<ActorToken, Error>> + Send
    where
        I: TryInto<ActorTokenId, Error: Into<Error>>,
    {
        // Converted here, so that the future is `Send` even if `id` is not.
        let id = id.try_into().map_err(Into::into);
        async move { self.send(ActorTokenRequest::revoke(id?)).await }
    }

    /// Sends a request, which may have its own headers and options.
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
    /// See [`create`](Self::create). A request to revoke is refused before anything is sent.
    pub async fn lease(&self, create: impl Into<ActorTokenRequest>) -> Result<Lease, Error> {
        Lease::begin(self.clone(), create.into()).await
    }

    /// Waits until no create is in flight and every lost token is settled, for at most `limit`. Then the
    /// remaining lost tokens are reported, and creates with a waiting caller continue. It does not wait for
    /// calls that begin later or are between two attempts.
    ///
    /// Call it before the process or its runtime ends, see the [example](crate::layer::settle#example).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the wait.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.parts.settler.shared.drain(limit).await
    }

    /// Returns the number of tokens with each end so far.
    pub fn settle_counts(&self) -> SettleCounts {
        self.parts.settler.shared.counts()
    }
}

impl Service<ActorTokenRequest> for Client {
    type Response = ActorToken;
    type Error = Error;
    type Future = ResponseFuture;

    /// Is ready unless an observer layer is not. A call waits for its call layers.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> ResponseFuture {
        ResponseFuture {
            inner: self.service.call(request),
        }
    }
}

crate::text::opaque_debug!(Client);

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

crate::text::opaque_debug!(ResponseFuture);
