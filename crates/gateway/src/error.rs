//! [`OpenError`], why a gateway could not be opened.

use clerk_actor_tokens::{ConfigError, InvalidSecretKey};
use clerk_actor_tokens_policy::audit::SinkUnavailable;
use clerk_actor_tokens_postgres::PostgresError;
use clerk_actor_tokens_redis as redis;

use crate::{
    config::ReadError, operators::InvalidOperator, storage::StorageError, store::StoreError,
};

/// Why a gateway could not be opened or reloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file or a variable of the configuration cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The client's configuration is invalid.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// A key of callers could be guessed.
    #[error(transparent)]
    Key(#[from] InvalidSecretKey),
    /// The token of an operator is invalid.
    #[error(transparent)]
    Operator(#[from] InvalidOperator),
    /// The configuration of Redis is invalid.
    #[error("redis: {0}")]
    Redis(#[from] redis::ConfigError),
    /// The configuration of PostgreSQL is invalid.
    #[error("storage.postgres: {0}")]
    Postgres(#[source] PostgresError),
    /// The database cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database cannot be written.
    #[error("could not record what an earlier process left open")]
    Sink(#[from] SinkUnavailable),
    /// The spool cannot be opened.
    #[error("could not open the spool")]
    Spool(#[source] std::io::Error),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Storage(error.into())
    }
}
