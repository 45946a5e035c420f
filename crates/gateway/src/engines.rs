//! The engines that a [`Config`] names: where they are and how to connect to them.

use std::{fs, path::PathBuf, time::Duration};

use clerk_actor_tokens_policy::audit::Spool;
use clerk_actor_tokens_postgres::PostgresConfig;
use clerk_actor_tokens_redis::{Redis, RedisConfig};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::{
    Config, OpenError,
    config::{Engine, Postgres, ReadError},
    storage::{Storage, StorageError},
    store::{Store, StoreOptions},
};

/// How long a gateway that starts waits for Redis.
const REDIS_LIMIT: Duration = Duration::from_secs(1);

impl Config {
    /// Returns where PostgreSQL is, if it is the storage. It reads the secrets.
    ///
    /// # Errors
    ///
    /// When a secret or a certificate cannot be read, or the URL is invalid.
    pub fn postgres(&self) -> Result<Option<PostgresConfig>, OpenError> {
        match &self.storage.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => Ok(Some(self.postgres_at(postgres)?)),
        }
    }

    fn postgres_at(&self, postgres: &Postgres) -> Result<PostgresConfig, OpenError> {
        let (storage, url) = (&self.storage, postgres.url.read("storage.postgres.url")?);
        let mut config = PostgresConfig::new(url.expose_secret())
            .map_err(OpenError::Postgres)?
            .anchors(storage.anchors.clone())
            .anchor_every(storage.anchor_every)
            .keep(storage.keep())
            .statement_limit(postgres.statement_limit)
            .call_timeout(self.clerk.call_timeout);
        if let Some(schema) = &postgres.schema {
            config = config.schema(schema);
        }
        if let Some(path) = &postgres.root_certificate {
            config = config.root_certificate_pem(read(path)?);
        }
        Ok(config)
    }

    /// Returns where Redis is, if limits and gate are shared. It reads the secrets.
    ///
    /// # Errors
    ///
    /// When a secret or a certificate cannot be read, or the URL is invalid.
    pub fn redis(&self) -> Result<Option<RedisConfig>, OpenError> {
        let Some(redis) = &self.redis else {
            return Ok(None);
        };
        let url = redis.url.read("redis.url")?;
        let limit = Duration::from_millis(redis.command_limit_ms.get().into());
        let mut config = RedisConfig::new(url.expose_secret())?
            .replicas(redis.replicas)
            .command_limit(limit);
        if let Some(namespace) = &redis.namespace {
            config = config.namespace(namespace);
        }
        if let Some(key) = &redis.hash_key {
            let key = key.read("redis.hash_key")?;
            config = config.hash_key(key.expose_secret());
        }
        if let Some(path) = &redis.root_certificate {
            config = config.root_certificate_pem(read(path)?);
        }
        Ok(Some(config))
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, ReadError> {
    fs::read(path).map_err(|source| {
        let path = path.clone();
        ReadError::File { path, source }
    })
}

/// Opens the storage.
pub(crate) async fn storage(config: &Config) -> Result<Storage, OpenError> {
    let storage = &config.storage;
    match &storage.engine {
        Engine::Sqlite(path) => {
            let options = StoreOptions {
                anchors: storage.anchors.clone(),
                anchor_every: storage.anchor_every,
                keep: storage.keep(),
                ..StoreOptions::new()
            };
            Ok(Store::open(path, options)?.into())
        }
        Engine::Postgres(postgres) => {
            let store = config.postgres_at(postgres)?.connect().await;
            Ok(Storage::Postgres(store.map_err(StorageError::from)?))
        }
    }
}

/// Opens the spool of the audit.
pub(crate) fn spool(config: &Config) -> Result<Spool, OpenError> {
    match &config.storage.spool {
        Some(path) => Spool::open(path).map_err(OpenError::Spool),
        None => Ok(Spool::in_memory()),
    }
}

/// Connects to Redis, if limits and gate are shared. Without it, the first calls are decided in this process.
pub(crate) async fn redis(config: &Config) -> Result<Option<Redis>, OpenError> {
    let Some(redis) = config.redis()?.map(RedisConfig::connect).transpose()? else {
        return Ok(None);
    };
    if timeout(REDIS_LIMIT, redis.available()).await.is_err() {
        tracing::warn!(
            "Redis does not respond: limits and gate are those of this process until it does"
        );
    }
    Ok(Some(redis))
}
