//! [`PostgresConfig`], where PostgreSQL is and how processes share it.

use std::{fmt, sync::OnceLock, time::Duration};

use clerk_actor_tokens_store::Anchors;
use tokio::time::timeout;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{PostgresError, PostgresStore, Result, session::refuse_pooler, tls};

/// How long each host has to accept a connection, if the URL does not say.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// After so long without data, TCP tests whether the server is there. Default of tokio-postgres: two hours.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Configures a store.
///
/// `Debug` shows no credentials.
#[derive(Clone)]
pub struct PostgresConfig {
    pub(crate) server: tokio_postgres::Config,
    root_certificate: Option<Vec<u8>>,
    /// Created once, because that reads the certificates of the system.
    connector: OnceLock<MakeRustlsConnect>,
    pub(crate) schema: String,
    pub(crate) anchors: Anchors,
    pub(crate) anchor_every: Duration,
    pub(crate) keep: Duration,
    pub(crate) session_lifetime: Duration,
    pub(crate) statement_limit: Duration,
    pub(crate) beat: Duration,
    pub(crate) stale: Duration,
    pub(crate) call_timeout: Duration,
}

impl PostgresConfig {
    /// Begins with the URL of a server, such as `postgres://user:password@host/database?sslmode=require`.
    ///
    /// With `sslmode=require` the certificate and the name of the server are verified. With several hosts, add
    /// `target_session_attrs=read-write`.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read.
    pub fn new(url: &str) -> Result<Self, PostgresError> {
        let server = url.parse::<tokio_postgres::Config>();
        let mut server = server.map_err(|_| PostgresError::Url)?;
        server
            .keepalives_idle(server.get_keepalives_idle().min(KEEPALIVE))
            .keepalives_interval(KEEPALIVE / 3)
            .keepalives_retries(3);
        if server.get_connect_timeout().is_none() {
            server.connect_timeout(CONNECT_LIMIT);
        }
        if server.get_application_name().is_none() {
            server.application_name("actor-tokens");
        }
        Ok(Self {
            server,
            root_certificate: None,
            connector: OnceLock::new(),
            schema: "actor_tokens".into(),
            anchors: Anchors::default(),
            anchor_every: Duration::from_secs(60),
            keep: Duration::from_secs(400 * 86_400),
            session_lifetime: Duration::from_secs(30 * 60),
            statement_limit: Duration::from_secs(2),
            beat: Duration::from_secs(5),
            stale: Duration::from_secs(15),
            call_timeout: Duration::from_secs(30),
        })
    }

    /// Sets the schema of the tables. Default: `actor_tokens`.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// Sets where anchors of the hash chain are written. Default: the standard output.
    #[must_use]
    pub fn anchors(mut self, anchors: Anchors) -> Self {
        self.anchors = anchors;
        self
    }

    /// Sets the time between two anchors. Default: 60 s.
    #[must_use]
    pub fn anchor_every(mut self, time: Duration) -> Self {
        self.anchor_every = time;
        self
    }

    /// Sets how long closed records are kept. Default: 400 days.
    #[must_use]
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// Sets the longest lifetime of a session whose call does not set it. Default: 30 minutes, as at Clerk.
    #[must_use]
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// Sets the timeout of a call of the client. A call of a process that was killed is unknown until it has
    /// passed, see [`interrupted`](clerk_actor_tokens_store::interrupted). Default: 30 s.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Limits the time of a statement. Default: 2 s.
    #[must_use]
    pub fn statement_limit(mut self, limit: Duration) -> Self {
        self.statement_limit = limit;
        self
    }

    /// Sets the time between two beats, and the age of the last beat from which a process counts as stopped.
    /// Default: 5 s and 15 s.
    #[must_use]
    pub fn beat(mut self, every: Duration, stale: Duration) -> Self {
        (self.beat, self.stale) = (every, stale);
        self
    }

    /// Trusts this certificate authority, as PEM, instead of those of the operating system.
    #[must_use]
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificate = Some(pem.into());
        self.connector = OnceLock::new();
        self
    }

    /// Connects, brings the tables up to date, and registers this process as an instance.
    ///
    /// # Errors
    ///
    /// See [`PostgresError`].
    pub async fn connect(self) -> Result<PostgresStore, PostgresError> {
        self.connector()?;
        PostgresStore::connect(self).await
    }

    /// Connects once, to test the configuration. It changes nothing.
    ///
    /// # Errors
    ///
    /// When PostgreSQL cannot be reached, refuses the credentials, or a pooler breaks advisory locks.
    pub async fn check(self) -> Result<(), PostgresError> {
        let check = timeout(self.statement_limit * 5, refuse_pooler(&self)).await;
        Ok(check.map_err(|_| PostgresError::Timeout)??)
    }

    /// Returns the connector of TLS.
    pub(crate) fn connector(&self) -> Result<MakeRustlsConnect> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector.clone());
        }
        let root = self.root_certificate.as_deref();
        let connector = tls::connector(self.server.get_ssl_mode(), root)?;
        Ok(self.connector.get_or_init(|| connector).clone())
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
