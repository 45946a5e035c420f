//! [`RedisConfig`], where Redis is and what to do without it.

use std::{fmt, num::NonZeroU32, time::Duration};

use clerk_actor_tokens::BoxError;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use tokio::runtime::Handle;

use crate::{
    connection::{Redis, Shared},
    key::Keys,
};

/// Configures a connection to Redis.
///
/// `Debug` shows no credentials.
#[derive(Clone)]
pub struct RedisConfig {
    server: ConnectionInfo,
    namespace: String,
    hash_key: Vec<u8>,
    replicas: NonZeroU32,
    command_limit: Duration,
    #[cfg(feature = "tls")]
    root_certificate: Option<Vec<u8>>,
}

/// A [`RedisConfig`] that is not valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL cannot be read. The error does not show it, because it may have a password.
    #[error("could not read the URL of Redis: expected redis://, rediss:// or unix://")]
    Url,
    /// The URL has TLS, and the crate is built without the feature `tls`.
    #[error("could not use TLS to Redis: enable the feature `ring` or `aws-lc-rs`")]
    Tls,
    /// The namespace has a brace, which would change the slot of a key.
    #[error("could not use the namespace: it must not contain `{{` or `}}`")]
    Namespace,
    /// The root certificate cannot be read.
    #[error("could not read the root certificate: expected PEM")]
    RootCertificate,
    /// The function was not called in a tokio runtime.
    #[error("could not start the connection to Redis outside of a tokio runtime")]
    Runtime,
}

impl RedisConfig {
    /// Begins with the URL of a server, or of a proxy that stands for a cluster: `redis://`, `rediss://` with TLS,
    /// or `unix://`. It may have credentials and a database. The server needs RESP 3: Redis 6 or Valkey.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read, or has TLS without the feature.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let server = url.into_connection_info().map_err(|_| ConfigError::Url)?;
        if matches!(server.addr(), ConnectionAddr::TcpTls { .. }) && !cfg!(feature = "tls") {
            return Err(ConfigError::Tls);
        }
        // Closes of the gate arrive on the connection of the commands.
        let settings = server.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        Ok(Self {
            server: server.set_redis_settings(settings),
            namespace: "default".to_owned(),
            hash_key: Vec::new(),
            replicas: NonZeroU32::MIN,
            command_limit: Duration::from_millis(50),
            #[cfg(feature = "tls")]
            root_certificate: None,
        })
    }

    /// Sets the number of processes that share the limits. While Redis is down, each of them allows its part.
    /// Default: 1.
    #[must_use]
    pub fn replicas(mut self, number: NonZeroU32) -> Self {
        self.replicas = number;
        self
    }

    /// Sets the name under which processes share limits and gates. Default: `default`.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = name.into();
        self
    }

    /// Sets the secret that hides ids of users in the names of keys. All processes need the same one. Without it
    /// the names are hashes, in which ids that can be guessed can be recognised.
    #[must_use]
    pub fn hash_key(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.hash_key = secret.into();
        self
    }

    /// Limits the time of a command. After three failures in a row the process decides without Redis until it
    /// responds in time again. Default: 50 ms.
    #[must_use]
    pub fn command_limit(mut self, limit: Duration) -> Self {
        self.command_limit = limit;
        self
    }

    /// Trusts this certificate authority, as PEM, instead of those of the operating system.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificate = Some(pem.into());
        self
    }

    /// Starts to connect in the background and returns at once. Until Redis responds, the process decides without
    /// it.
    ///
    /// The connection belongs to the current tokio runtime. If TLS is used and no crypto provider of rustls is
    /// installed, this installs one.
    ///
    /// # Errors
    ///
    /// When the configuration is not valid, or outside of a tokio runtime.
    pub fn connect(self) -> Result<Redis, ConfigError> {
        Handle::try_current().map_err(|_| ConfigError::Runtime)?;
        Ok(Redis::new(self.shared()?))
    }

    /// Connects once, to test the configuration.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached, refuses the credentials, does not take writes or does not respond in time.
    pub async fn check(self) -> Result<(), BoxError> {
        let shared = self.shared()?;
        shared.connect(|_| {}).await?;
        Ok(())
    }

    fn shared(self) -> Result<Shared, ConfigError> {
        if self.namespace.contains(['{', '}']) {
            return Err(ConfigError::Namespace);
        }
        let client = self.client()?;
        let keys = Keys::new(&self.namespace, &self.hash_key);
        Ok(Shared::new(client, keys, self.command_limit, self.replicas))
    }

    #[cfg(feature = "tls")]
    fn client(&self) -> Result<Client, ConfigError> {
        let server = self.server.clone();
        if !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
            return Client::open(server).map_err(|_| ConfigError::Url);
        }
        // rustls panics if it has to choose between two providers.
        #[cfg(feature = "ring")]
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ConfigError::Tls);
        }
        let certificates = redis::TlsCertificates {
            client_tls: None,
            root_cert: self.root_certificate.clone(),
        };
        Client::build_with_tls(server, certificates).map_err(|_| ConfigError::RootCertificate)
    }

    #[cfg(not(feature = "tls"))]
    fn client(&self) -> Result<Client, ConfigError> {
        Client::open(self.server.clone()).map_err(|_| ConfigError::Url)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("server", &self.server.addr().to_string())
            .field("namespace", &self.namespace)
            .field("replicas", &self.replicas)
            .field("command_limit", &self.command_limit)
            .finish_non_exhaustive()
    }
}
