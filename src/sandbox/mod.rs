//! A stateful stand-in for the API: in process, as a transport, or over TCP.
//!
//! | as | with | what is real |
//! |---|---|---|
//! | a test double | [`Client::new(sandbox.clone())`](crate::Client::new) | the states and the errors |
//! | a transport | [`ClientBuilder::transport(sandbox.transport())`](crate::ClientBuilder::transport) | the whole client, and the wire protocol |
//! | a server | [`sandbox.spawn().await`](Sandbox::spawn) | everything but Clerk |
//!
//! Tokens are pending until they are revoked or [accepted](Sandbox::accept), and can be accepted once,
//! until their life ends. Time is `tokio::time`, so that a paused clock moves it. Over the wire,
//! [faults](Fault) can be scripted, or chosen request by request. What was minted stands in the [ledger](Ledger).
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
//! // The connection breaks after the token was minted: the client cannot know.
//! sandbox.inject(Fault::DisconnectAfter);
//! let error = client.create(create()).await.unwrap_err();
//! assert_eq!(error.outcome(), Outcome::Unknown);
//! assert_eq!(sandbox.ledger().pending().count(), 1);
//! # Ok(())
//! # }
//! ```

mod accept;
mod body;
mod config;
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
    body::SandboxBody,
    fault::Fault,
    ledger::{Ledger, LedgerEntry},
    serve::SandboxServer,
    transport::{ResponseFuture, SandboxTransport},
};
use crate::{
    ActorToken, ActorTokenRequest, Error, Operation, SecretKey,
    server::{create_body, refusal::Refusal},
};

/// Where the links of tokens lead, unless the sandbox is served.
const FRONT: &str = "https://sandbox.clerk.accounts.dev";

/// A stateful stand-in for the API, see the [module](self).
///
/// Clones share everything. The settings are made before the first use.
///
/// As a `Service<ActorTokenRequest>` it answers at once, checks no key, and meets no faults: those
/// belong to the wire.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Mutex<State>>,
    front: Arc<str>,
}

impl Sandbox {
    /// A sandbox where any user exists, everything is allowed, and the key is `sk_test_sandbox`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Mutex::new(State::new())),
            front: FRONT.into(),
        }
    }

    /// Only these users exist; others are answered with 404.
    #[must_use]
    pub fn known_users<I>(self, users: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.state().config.known_users = Some(users.into_iter().map(Into::into).collect());
        self
    }

    /// The plan has this many impersonations; a create beyond is answered with 422.
    #[must_use]
    pub fn quota(self, limit: u32) -> Self {
        self.state().config.quota = Some(limit);
        self
    }

    /// The plan has no impersonation: every create is answered with 402.
    #[must_use]
    pub fn without_impersonation(self) -> Self {
        self.state().config.impersonation = false;
        self
    }

    /// At most this many requests are served within each window of `per`, others are answered with
    /// 429 and the time until the next window.
    #[must_use]
    pub fn rate_limit(self, requests: u32, per: Duration) -> Self {
        self.state().config.set_rate_limit(requests, per);
        self
    }

    /// The key that is accepted over the wire. Default: `sk_test_sandbox`.
    #[must_use]
    pub fn key(self, key: SecretKey) -> Self {
        self.state().config.key = key;
        self
    }

    /// The key that is accepted over the wire.
    #[must_use]
    pub fn secret_key(&self) -> SecretKey {
        self.state().config.key.clone()
    }

    /// Lets the next request over the wire that has no fault yet meet this one.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Lets `choose` say which fault, if any, each request over the wire meets that none was
    /// [injected](Self::inject) for. It is told the number of the request, counted from one, and its
    /// head.
    ///
    /// ```
    /// use clerk_actor_tokens::{
    ///     Actor, ClientBuilder, CreateActorToken, Outcome, sandbox::{Fault, Sandbox},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::new().faults_by(|number, head| {
    ///     let is_create = head.uri.path().ends_with("/actor_tokens");
    ///     (is_create && number % 2 == 1).then_some(Fault::DisconnectAfter)
    /// });
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build()?;
    /// let create = || CreateActorToken::new("user_1", Actor::new("user_2"));
    ///
    /// let lost = client.create(create()).await.unwrap_err();
    /// assert_eq!(lost.outcome(), Outcome::Unknown);
    /// client.create(create()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn faults_by<F>(self, choose: F) -> Self
    where
        F: Fn(u64, &Parts) -> Option<Fault> + Send + Sync + 'static,
    {
        self.state().faults_by = Some(Arc::new(choose));
        self
    }

    /// How many requests came over the wire, those that met faults included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Everything that was minted, as it is now.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.state().tokens.ledger()
    }

    /// Uses a token, as the one who opens its link does; takes the link or the bare token.
    ///
    /// # Errors
    ///
    /// When the token is not known, was revoked or used before, or its life has ended.
    pub fn accept(&self, ticket_or_url: &str) -> Result<ActorToken, AcceptError> {
        let ticket = accept::ticket_of(ticket_or_url);
        self.state().tokens.accept(ticket)
    }

    /// Nothing panics while the lock is held; if it did, the state would still be whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same sandbox, the links of whose tokens lead to `front`.
    fn with_front(&self, front: &str) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            front: front.into(),
        }
    }

    fn apply(&self, operation: &Operation) -> Result<ActorToken, Error> {
        let mut state = self.state();
        state.config.check_rate()?;
        match operation {
            Operation::Create(create) => {
                create_body::validate(create).map_err(Refusal::into_error)?;
                let used = state.tokens.len();
                state.config.check_create(create, used)?;
                Ok(state.tokens.mint(create, &self.front))
            }
            Operation::Revoke(id) => state.tokens.revoke(id),
        }
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
        ready(self.apply(request.operation()))
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("front", &self.front)
            .finish_non_exhaustive()
    }
}
