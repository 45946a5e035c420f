//! [`Client`], the whole stack behind one type.

mod assemble;
mod builder;
mod config_error;
#[cfg(feature = "transport")]
mod env;
mod stack;

use std::{
    fmt,
    task::{Context, Poll},
};

use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    builder::ClientBuilder,
    config_error::ConfigError,
    stack::{AttemptLevel, CallLevel, CallService, CustomTransport, Transport, WireLevel},
};
use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, BoxError, CreateActorToken, Error,
    layer::TypedErrorLayer,
};

/// A client of the two operations: the stack of layers, boxed once.
///
/// Cloning is cheap, and all clones share connections and the budget of retries. It is itself a
/// `Service<ActorTokenRequest>`, so that it can stand in any stack.
///
/// # Cancel safety
///
/// Dropping the future of a call gives the call up: no further attempt is made. A create that was
/// given up after its request was taken may still mint a token.
#[derive(Clone)]
pub struct Client {
    service: BoxCloneSyncService<ActorTokenRequest, ActorToken, Error>,
}

impl Client {
    /// A client over any service that answers [`ActorTokenRequest`]s: a stack of your own, or a test
    /// double.
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
        Self::from_typed(TypedErrorLayer::new().layer(service))
    }

    /// A client over a stack whose errors are typed already.
    fn from_typed<S>(service: S) -> Self
    where
        S: CallService,
    {
        Self {
            service: BoxCloneSyncService::new(service),
        }
    }

    /// Mints a token.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind); [`Error::outcome`] says whether a token may exist all
    /// the same.
    pub async fn create(&self, create: CreateActorToken) -> Result<ActorToken, Error> {
        self.send(ActorTokenRequest::create(create)).await
    }

    /// Revokes a pending token.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). A token that was used meanwhile is
    /// [`ErrorKind::AlreadyAccepted`](crate::ErrorKind::AlreadyAccepted): a session is live.
    pub async fn revoke(&self, id: &ActorTokenId) -> Result<ActorToken, Error> {
        self.send(ActorTokenRequest::revoke(id.clone())).await
    }

    /// Sends a request with options of its own.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub async fn send(&self, request: impl Into<ActorTokenRequest>) -> Result<ActorToken, Error> {
        self.service.clone().oneshot(request.into()).await
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
    inner: std::pin::Pin<Box<dyn Future<Output = Result<ActorToken, Error>> + Send>>,
}

impl Future for ResponseFuture {
    type Output = Result<ActorToken, Error>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
