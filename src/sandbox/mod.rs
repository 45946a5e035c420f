//! A stateful stand-in for the API: in process, as a transport, or over TCP.
//!
//! | use as | by | what is real |
//! |---|---|---|
//! | a test double | [`Client::new(sandbox.clone())`](crate::Client::new) | states and errors |
//! | a transport | [`ClientBuilder::transport(sandbox.transport())`](crate::ClientBuilder::transport) | the whole client and the wire protocol |
//! | a server | [`sandbox.spawn().await`](Sandbox::spawn) | everything but Clerk |
//!
//! A token is pending until it is revoked or [accepted](Sandbox::accept). It can be accepted once, until
//! it expires. The clock is that of `tokio::time`, so that a paused clock moves it. Over the wire,
//! [faults](Fault) can be scripted or chosen per request. The [ledger](Ledger) lists all tokens.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{
//!     Actor, ClientBuilder, CreateActorToken, Outcome, Ticket,
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
//! let link = token.ticket().and_then(Ticket::expose_url).ok_or("no link")?;
//! assert_eq!(sandbox.accept(link).unwrap_err(), AcceptError::Revoked);
//!
//! // The connection breaks after the token was minted, so the client does not know the outcome.
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
mod state;
mod transport;

use std::{
    fmt,
    future::{Ready, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::request::Parts;
use tower_service::Service;

use self::state::State;
pub use self::{
    accept::AcceptError,
    fault::Fault,
    ledger::{Ledger, LedgerEntry},
    serve::SandboxServer,
    transport::{ResponseFuture, SandboxBody, SandboxTransport},
};
use crate::{ActorToken, ActorTokenRequest, Error, SecretKey};

/// The origin of the links of tokens, unless the sandbox is served.
const FRONT: &str = "https://sandbox.clerk.accounts.dev";

/// A stateful stand-in for the API, see the [module](self).
///
/// Clones share all state. Change the settings before the first use.
///
/// As a `Service<ActorTokenRequest>` it responds at once, checks no key and has no faults, because
/// those belong to the wire.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Mutex<State>>,
    front: Arc<str>,
}

impl Sandbox {
    /// Creates a sandbox in which every user exists and everything is allowed. The key is
    /// `sk_test_sandbox`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Mutex::new(State::new())),
            front: FRONT.into(),
        }
    }

    /// Lets only these users exist. A create for any other user fails with 404.
    #[must_use]
    pub fn known_users(self, users: impl IntoIterator<Item: Into<String>>) -> Self {
        self.state().known_users = Some(users.into_iter().map(Into::into).collect());
        self
    }

    /// Limits the impersonations of the plan. A create beyond the limit fails with 422.
    #[must_use]
    pub fn quota(self, limit: u32) -> Self {
        self.state().quota = Some(limit);
        self
    }

    /// Uses a plan without impersonation. Every create fails with 402.
    #[must_use]
    pub fn without_impersonation(self) -> Self {
        self.state().impersonation = false;
        self
    }

    /// Serves at most this many requests in each window of `per`. Further requests fail with 429 and
    /// the time until the next window.
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
    #[must_use]
    pub fn secret_key(&self) -> SecretKey {
        self.state().key.clone()
    }

    /// Queues a fault for the next request over the wire that has none yet.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Chooses the fault, if any, of each request over the wire without an [injected](Self::inject)
    /// one. `choose` is called with the number of the request, counted from one, and its head.
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
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Returns a snapshot of all tokens.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.state().ledger()
    }

    /// Uses a token, as a browser does that opens its link. Takes the link or the bare ticket.
    ///
    /// # Errors
    ///
    /// When the token is unknown, was revoked or used before, or has expired.
    pub fn accept(&self, ticket_or_url: &str) -> Result<ActorToken, AcceptError> {
        self.state().accept(accept::ticket_of(ticket_or_url))
    }

    /// Locks the state. No user code runs while it is locked.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        ready(self.state().apply(request.operation(), &self.front))
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("front", &self.front)
            .finish_non_exhaustive()
    }
}
