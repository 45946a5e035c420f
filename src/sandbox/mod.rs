//! A stateful replacement for the API in tests: in process, as a transport, or over TCP.
//!
//! | use as | with | includes |
//! |---|---|---|
//! | a service | [`Client::new(sandbox.clone())`](crate::Client::new) | token states and API errors |
//! | a transport | [`ClientBuilder::transport(sandbox.transport())`](crate::ClientBuilder::transport) | the whole client, the wire protocol, [faults](Fault) |
//! | a server | [`sandbox.spawn().await`](Sandbox::spawn) | the network as well |
//!
//! A token is pending until it is revoked or [accepted](Sandbox::accept). It can be accepted once, before
//! it expires. Time is tokio's, so a paused clock works. The [ledger](Ledger) lists all tokens. With the
//! feature `sessions`, an accepted token has a session, which the wire protocol lists and ends.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{
//!     Actor, ClientBuilder, CreateActorToken, Outcome,
//!     sandbox::{AcceptError, Fault, Sandbox},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
//! let create = || CreateActorToken::new("user_subject", Actor::new("user_admin"));
//!
//! let token = client.create(create()).await?;
//! client.revoke(token.id()).await?;
//! let link = token.expose_url().ok_or("no link")?;
//! assert_eq!(sandbox.accept(link).unwrap_err(), AcceptError::Revoked);
//!
//! // The connection is reset after the token was minted, so the client does not know the outcome.
//! sandbox.inject(Fault::DisconnectAfter);
//! let error = client.create(create()).await.unwrap_err();
//! assert_eq!(error.outcome(), Outcome::Unknown);
//! assert_eq!(sandbox.ledger().pending().count(), 1);
//! # Ok(())
//! # }
//! ```

mod accept;
mod fault;
mod ledger;
mod serve;
#[cfg(feature = "sessions")]
mod sessions;
mod state;
mod transport;

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use http::request::Parts;
use tower_service::Service;

#[cfg(feature = "sessions")]
pub use self::sessions::LedgerSession;
use self::state::State;
pub use self::{
    accept::AcceptError,
    fault::Fault,
    ledger::{Ledger, LedgerEntry},
    serve::SandboxServer,
    transport::{ResponseFuture, SandboxBody, SandboxTransport},
};
use crate::{ActorToken, ActorTokenRequest, Error, SecretKey, lock};

/// The origin of token links, unless the sandbox is served.
const ORIGIN: &str = "https://sandbox.clerk.accounts.dev";

/// A stateful replacement for the API, see the [module](self).
///
/// Clones share all state. Change the settings before the first use.
///
/// The `Service<ActorTokenRequest>` responds at once, without a key check or faults. These belong to
/// the wire.
#[derive(Clone)]
pub struct Sandbox {
    state: Arc<Mutex<State>>,
    origin: Arc<str>,
}

impl Sandbox {
    /// Creates a sandbox in which every user exists and nothing is limited.
    pub fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new())),
            origin: ORIGIN.into(),
        }
    }

    /// Sets the users that exist. A create for any other user fails with 404.
    #[must_use]
    pub fn known_users(self, users: impl IntoIterator<Item: Into<String>>) -> Self {
        self.state().known_users = Some(users.into_iter().map(Into::into).collect());
        self
    }

    /// Limits the number of creates. Further ones fail with 422.
    #[must_use]
    pub fn quota(self, limit: u32) -> Self {
        self.state().quota = Some(limit);
        self
    }

    /// Removes impersonation from the plan. Every create fails with 402.
    #[must_use]
    pub fn without_impersonation(self) -> Self {
        self.state().impersonation = false;
        self
    }

    /// Allows this many requests in each window of `per`. Further requests fail with 429 and a
    /// `Retry-After` until the next window.
    #[must_use]
    pub fn rate_limit(self, requests: u32, per: Duration) -> Self {
        self.state().rate_limit = Some((requests, per));
        self
    }

    /// Sets the key that is accepted over the wire. Default: `sk_test_sandbox`.
    #[must_use]
    pub fn key(self, key: SecretKey) -> Self {
        self.state().key = key;
        self
    }

    /// Returns the key that is accepted over the wire.
    pub fn secret_key(&self) -> SecretKey {
        self.state().key.clone()
    }

    /// Adds a fault to the queue. Each request over the wire takes one.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Chooses the fault, if any, of each request over the wire that has no [injected](Self::inject)
    /// one. `choose` receives the number of the request, counted from one, and its head.
    ///
    /// ```
    /// use clerk_actor_tokens::sandbox::{Fault, Sandbox};
    ///
    /// let sandbox = Sandbox::new().faults_by(|number, head| {
    ///     let is_create = head.uri.path().ends_with("/actor_tokens");
    ///     (is_create && number % 2 == 1).then_some(Fault::DisconnectAfter)
    /// });
    /// # let _ = sandbox;
    /// ```
    #[must_use]
    pub fn faults_by<F>(self, choose: F) -> Self
    where
        F: Fn(u64, &Parts) -> Option<Fault> + Send + Sync + 'static,
    {
        self.state().faults_by = Some(Arc::new(choose));
        self
    }

    /// Returns the number of requests over the wire, including those with faults.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Returns a snapshot of all tokens.
    pub fn ledger(&self) -> Ledger {
        self.state().ledger()
    }

    /// Uses a token, like a browser that opens its link. Takes the link or the ticket alone.
    ///
    /// # Errors
    ///
    /// When the token is unknown, revoked, already used or expired.
    pub fn accept(&self, ticket_or_url: &str) -> Result<ActorToken, AcceptError> {
        self.state().accept(accept::ticket_of(ticket_or_url))
    }

    /// Locks the state. No user code may run under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Service<ActorTokenRequest> for Sandbox {
    type Response = ActorToken;
    type Error = Error;
    type Future = Ready<Result<ActorToken, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        ready(self.state().apply(request.operation(), &self.origin))
    }
}

crate::text::opaque_debug!(Sandbox, |it| origin: it.origin);
