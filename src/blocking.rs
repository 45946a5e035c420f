//! A client for programs without an async runtime.
//!
//! [`Client`] owns one thread, which drives connections and settling between calls. Each call runs on the
//! thread of its caller.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken};
//! # #[cfg(feature = "sandbox")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = clerk_actor_tokens::sandbox::Sandbox::new();
//! # let (key, transport) = (sandbox.secret_key(), sandbox.transport());
//!
//! // or clerk_actor_tokens::Client::builder(key).build_blocking()?
//! let client = ClientBuilder::over(key, transport).build_blocking()?;
//!
//! let token = client.create(CreateActorToken::new("user_subject", Actor::new("user_admin")))?;
//! let link = token.expose_url();
//! # assert!(link.is_some());
//!
//! client.revoke(token.id())?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```
//!
//! # The end of the program
//!
//! Dropping the last clone [drains](Client::drain) for up to 5 s, so that lost tokens are revoked or
//! reported before `main` returns. A client in a `static` is never dropped: call [`Client::drain`]. A
//! token that outlives the last clone is reported when it is dropped unread.
//!
//! # In an async runtime
//!
//! A blocking call would stop the other tasks of a runtime. So every call in one, `spawn_blocking`
//! included, fails with [`ErrorKind::Runtime`] before anything is sent. Use
//! [`clerk_actor_tokens::Client`](crate::Client) there. Dropping the last clone in a runtime drains without
//! waiting.

use std::{
    fmt,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, ConfigError, CreateActorToken, Error, ErrorKind,
    Outcome, Ticket,
    client::{DrainReport, SettleCounts},
};

/// The limit of the drain when the last clone is dropped.
const DRAIN: Duration = Duration::from_secs(5);

/// A [`Client`](crate::Client) whose methods block, see the [module](self).
///
/// Clones are cheap and share one background thread. A method has the errors of the async one of its name, and
/// [`ErrorKind::Runtime`] in an async runtime.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    client: crate::Client,
    runtime: Handle,
    /// Ends the thread after it has drained the client.
    stop: Option<oneshot::Sender<crate::Client>>,
    thread: Option<JoinHandle<()>>,
}

#[expect(clippy::missing_errors_doc, reason = "the type documents them")]
impl Client {
    /// Creates a blocking client over an async one, such as a test double or a
    /// [wrapped](crate::Client::wrap) client.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn new(client: crate::Client) -> Result<Self, ConfigError> {
        Self::start(|| Ok(client))
    }

    /// Starts the thread and builds the client in its runtime, because layers such as tower's `Buffer` spawn
    /// in their constructor.
    pub(crate) fn start(
        build: impl FnOnce() -> Result<crate::Client, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let (started, runtime) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("clerk-actor-tokens".into());
        let thread = thread
            .spawn(move || drive(&started, stopped))
            .map_err(ConfigError::Thread)?;
        let runtime = runtime.recv().expect("the thread sends one result");
        let runtime = runtime.map_err(ConfigError::Thread)?;
        let entered = runtime.enter();
        let client = build()?;
        drop(entered);
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                runtime,
                stop: Some(stop),
                thread: Some(thread),
            }),
        })
    }

    /// Mints a token, see [`Client::create`](crate::Client::create).
    pub fn create(&self, create: CreateActorToken) -> Result<ActorToken, Error> {
        self.send(create)
    }

    /// Revokes a pending token, see [`Client::revoke`](crate::Client::revoke).
    pub fn revoke<I>(&self, id: I) -> Result<ActorToken, Error>
    where
        I: TryInto<ActorTokenId, Error: Into<Error>>,
    {
        self.wait(self.shared.client.revoke(id))?
    }

    /// Sends a request, see [`Client::send`](crate::Client::send).
    pub fn send(&self, request: impl Into<ActorTokenRequest>) -> Result<ActorToken, Error> {
        self.wait(self.shared.client.send(request))?
    }

    /// Mints a token that is revoked when the [`Lease`] is dropped, see [`Client::lease`](crate::Client::lease).
    pub fn lease(&self, create: impl Into<ActorTokenRequest>) -> Result<Lease, Error> {
        let lease = self.wait(self.shared.client.lease(create))??;
        let client = self.clone();
        Ok(Lease { lease, client })
    }

    /// Lists the impersonations of a user, see
    /// [`Client::impersonations`](crate::Client::impersonations).
    #[cfg(feature = "sessions")]
    pub fn impersonations(&self, subject: &str) -> Result<Vec<crate::Session>, Error> {
        self.wait(self.shared.client.impersonations(subject))?
    }

    /// Ends live impersonations of a user, see
    /// [`Client::end_impersonation`](crate::Client::end_impersonation).
    #[cfg(feature = "sessions")]
    pub fn end_impersonation<F>(
        &self,
        subject: &str,
        filter: F,
    ) -> Result<Vec<crate::Session>, crate::EndImpersonationError>
    where
        F: FnMut(&crate::Session) -> bool,
    {
        self.wait(self.shared.client.end_impersonation(subject, filter))?
    }

    /// Waits until every lost token is settled, see [`Client::drain`](crate::Client::drain).
    pub fn drain(&self, limit: Duration) -> Result<DrainReport, Error> {
        self.wait(self.shared.client.drain(limit))
    }

    /// Returns the number of tokens with each end so far.
    pub fn settle_counts(&self) -> SettleCounts {
        self.shared.client.settle_counts()
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Error> {
        if Handle::try_current().is_ok() {
            let error = Error::new(ErrorKind::Runtime, Outcome::NotSent).permanent(true);
            return Err(error.with_detail(
                "a blocking client cannot wait in an async runtime, use clerk_actor_tokens::Client",
            ));
        }
        Ok(self.shared.runtime.block_on(future))
    }
}

/// Drives the runtime until the last clone is dropped, then drains.
fn drive(
    started: &mpsc::Sender<std::io::Result<Handle>>,
    stopped: oneshot::Receiver<crate::Client>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error))),
    };
    let _ = started.send(Ok(runtime.handle().clone()));
    if let Ok(client) = runtime.block_on(stopped) {
        runtime.block_on(client.drain(DRAIN));
    }
    // Does not wait for a name resolution.
    runtime.shutdown_background();
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(self.client.clone());
        }
        // In a runtime, which may be that of the thread, waiting could deadlock.
        if Handle::try_current().is_err() {
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

crate::text::opaque_debug!(Client);

/// A token that is revoked in the background when this is dropped, see [`Lease`](crate::Lease). A method has the
/// errors of the async one of its name.
#[must_use = "the token is revoked when this is dropped"]
pub struct Lease {
    // Dropped first, so that the client drains it.
    lease: crate::Lease,
    client: Client,
}

#[expect(clippy::missing_errors_doc, reason = "the type documents them")]
impl Lease {
    /// Returns the token.
    pub fn token(&self) -> &ActorToken {
        self.lease.token()
    }

    /// Returns the credential itself, if the response had one.
    pub fn ticket(&self) -> Option<&Ticket> {
        self.lease.ticket()
    }

    /// Ends the lease and keeps the token, which stays live.
    #[must_use = "the token stays live"]
    pub fn keep(self) -> ActorToken {
        self.lease.keep()
    }

    /// Ends the lease and waits until the token cannot be used, see [`Lease::revoke`](crate::Lease::revoke).
    pub fn revoke(self) -> Result<(), Error> {
        self.client.wait(self.lease.revoke())?
    }

    /// Ends the lease and the impersonation, see [`Lease::end_session`](crate::Lease::end_session).
    #[cfg(feature = "sessions")]
    pub fn end_session(self) -> Result<Vec<crate::Session>, crate::EndImpersonationError> {
        self.client.wait(self.lease.end_session())?
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lease.fmt(f)
    }
}
