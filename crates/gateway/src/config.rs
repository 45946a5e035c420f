//! [`Config`], the configuration of a gateway: one TOML file, with secrets in files or in the environment.
//!
//! ```
//! use clerk_actor_tokens_gateway::Config;
//!
//! let config: Config = r#"
//!     [storage]
//!     database = "/var/lib/gateway/audit.sqlite"
//!
//!     [policy]
//!     version = "2026-11-30"
//!     lifetime = { default = 300, longest = 900 }
//!     session = { default = 600, longest = 1800 }
//!     keys.helpdesk = ["user_*"] # the actors that a key may claim
//!
//!     [keys]
//!     helpdesk = [{ file = "/etc/gateway/helpdesk.key" }]
//! "#
//! .parse()?;
//! assert_eq!(config.policy.version(), "2026-11-30");
//! # Ok::<(), clerk_actor_tokens_gateway::config::ReadError>(())
//! ```

mod read;
mod secret;
mod storage;
mod validate;

pub use clerk_actor_tokens_store::Anchors;

use std::{
    collections::BTreeMap,
    iter,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use clerk_actor_tokens::BaseUrl;
use clerk_actor_tokens_policy::{Limit, Policy};
use serde::Deserialize;

use self::read::{seconds, seconds_or_zero};
pub use self::{
    read::{Problem, ReadError},
    secret::SecretFrom,
    storage::{Engine, Postgres, Storage},
};
use crate::Role;

/// The configuration of a gateway. Unknown fields are refused. Times are whole seconds, at most a day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where the gateway listens.
    #[serde(default)]
    pub server: Server,
    /// The API behind the gateway.
    #[serde(default)]
    pub clerk: Clerk,
    /// Where the audit is stored.
    pub storage: Storage,
    /// Where limits and the gate are shared by several gateways. Default: each gateway has its own.
    #[serde(default)]
    pub redis: Option<Redis>,
    /// The rules about who may impersonate whom.
    pub policy: Policy,
    /// The limits of how often.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// The number of tokens in a period.
    #[serde(default)]
    pub quota: Quota,
    /// The end of tokens that are live.
    #[serde(default)]
    pub leases: LeaseConfig,
    /// The pages for operators.
    #[serde(default)]
    pub console: ConsoleConfig,
    /// The keys of callers over the wire protocol, by their name: several while a key is rotated.
    #[serde(default)]
    pub keys: BTreeMap<String, Vec<SecretFrom>>,
    /// The people who use the admin API and the console, by their name.
    #[serde(default)]
    pub operators: BTreeMap<String, OperatorConfig>,
}

/// Where the gateway listens, and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Server {
    /// The address of the wire protocol and of the admin API. Without TLS only loopback is accepted. Default:
    /// `127.0.0.1:4020`.
    pub listen: SocketAddr,
    /// The address of `/livez`, `/readyz` and `/metrics`, plain HTTP. Default: `127.0.0.1:4021`.
    pub ops_listen: SocketAddr,
    /// The certificate. Default: none.
    pub tls: Option<Tls>,
    /// The most connections at once. Once all places are taken, the connection that is idle for the longest is
    /// closed; further ones wait. Default: 2048.
    pub max_connections: usize,
    /// The most calls at once; further ones are refused with 503. Default: 256.
    pub max_calls: usize,
    /// The time for the head of a request, and for which a connection may be idle. Default: 100 s.
    #[serde(deserialize_with = "seconds")]
    pub head_timeout: Duration,
    /// The time for the body of a request. Default: 10 s.
    #[serde(deserialize_with = "seconds")]
    pub body_timeout: Duration,
    /// The time for the requests in flight once the gateway stops. Default: 35 s, longer than a call.
    #[serde(deserialize_with = "seconds_or_zero")]
    pub grace: Duration,
    /// The time for lost tokens and for leases once no request is in flight. Default: 30 s.
    #[serde(deserialize_with = "seconds_or_zero")]
    pub drain: Duration,
}

/// A certificate, and the authority of the callers' certificates, as PEM files. SIGHUP reads them again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities that sign the certificates of callers. If set, every caller must present one.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// The API behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Clerk {
    /// The secret key. Default: the variable `CLERK_SECRET_KEY`.
    pub secret_key: SecretFrom,
    /// The address of the API. Default: Clerk's.
    pub api_url: Option<BaseUrl>,
    /// A name of the Clerk instance, whose rate limit the gate shares among calls. Default: `production`.
    pub account: String,
    /// The time of a call. Default: 30 s.
    #[serde(deserialize_with = "seconds")]
    pub call_timeout: Duration,
    /// The name of this gateway, the claim `iss`. Default: `clerk-actor-tokens-gateway`.
    pub issuer: String,
}

/// Redis, by which several gateways share limits and the gate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Redis {
    /// The URL: `redis://`, `rediss://` with TLS, or `unix://`. It may have credentials, so it is a secret.
    pub url: SecretFrom,
    /// The name under which gateways share limits and the gate. Default: `default`.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The number of gateways. While Redis is down, each of them allows its part of the limits. Default: 1.
    #[serde(default = "Redis::replicas")]
    pub replicas: NonZeroU32,
    /// The secret that hides ids of users in the names of keys. All gateways need the same one. Default: none, so
    /// that an id that can be guessed can be recognised.
    #[serde(default)]
    pub hash_key: Option<SecretFrom>,
    /// The authority of the server's certificate, a PEM file. Default: those of the operating system.
    #[serde(default)]
    pub root_certificate: Option<PathBuf>,
    /// The time of a command, in milliseconds. Default: 50.
    #[serde(default = "Redis::command_limit_ms")]
    pub command_limit_ms: NonZeroU32,
}

/// The number of tokens in a period. Clerk has no endpoint to read it, so the gateway counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Quota {
    /// The most tokens in a calendar month (UTC). Default: no limit of the gateway's own.
    pub per_month: Option<u64>,
}

/// How tokens that are live end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LeaseConfig {
    /// Whether the unused tokens of a gateway that stops or was killed are revoked. Default: revoke.
    pub on_shutdown: OnShutdown,
    /// Whether a used token that cannot be revoked has its session ended: at shutdown, and as soon as a session of a
    /// token of an unknown id is found. Default: false.
    pub end_sessions: bool,
}

/// Whether the unused tokens of a gateway that ended are revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnShutdown {
    /// They are revoked.
    #[default]
    Revoke,
    /// They stay live.
    Keep,
}

/// The pages for operators, at `/console`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ConsoleConfig {
    /// Whether they are served. Default: true.
    pub enabled: bool,
    /// The time without a request after which a session ends. Default: 30 minutes.
    #[serde(deserialize_with = "seconds")]
    pub idle: Duration,
    /// The time after which a session ends. Default: 12 hours.
    #[serde(deserialize_with = "seconds")]
    pub longest: Duration,
}

/// A person who uses the admin API and the console.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OperatorConfig {
    /// SHA-256 of the operator's token, in hexadecimal. The subcommand `operator` makes both.
    pub token_sha256: String,
    /// The operator's permissions.
    pub roles: Vec<Role>,
    /// The operator's user id: the actor of impersonations that begin in the console. Default: the name.
    #[serde(default)]
    pub actor: Option<String>,
    /// The groups that the policy names.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4020)),
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 4021)),
            tls: None,
            max_connections: 2048,
            max_calls: 256,
            head_timeout: Duration::from_secs(100),
            body_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(35),
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            idle: Duration::from_secs(30 * 60),
            longest: Duration::from_secs(12 * 3600),
        }
    }
}

impl Default for Clerk {
    fn default() -> Self {
        Self {
            secret_key: SecretFrom::Env("CLERK_SECRET_KEY".into()),
            api_url: None,
            account: "production".into(),
            call_timeout: Duration::from_secs(30),
            issuer: "clerk-actor-tokens-gateway".into(),
        }
    }
}

impl Redis {
    fn command_limit_ms() -> NonZeroU32 {
        const { NonZeroU32::new(50).unwrap() }
    }

    fn replicas() -> NonZeroU32 {
        NonZeroU32::MIN
    }
}

impl Config {
    /// Makes relative paths relative to this folder.
    fn resolve(&mut self, folder: &Path) {
        let (engine, engine_secret) = match &mut self.storage.engine {
            Engine::Sqlite(path) => (Some(path), None),
            Engine::Postgres(it) => (it.root_certificate.as_mut(), Some(&mut it.url)),
        };
        let redis = self.redis.as_mut();
        let (redis_secrets, redis_authority) = redis.map_or((vec![], None), |it| {
            let secrets = iter::once(&mut it.url).chain(&mut it.hash_key);
            (secrets.collect(), it.root_certificate.as_mut())
        });
        let secrets = self.keys.values_mut().flatten();
        let secrets = secrets
            .chain([&mut self.clerk.secret_key])
            .chain(engine_secret)
            .chain(redis_secrets);
        let secrets = secrets.filter_map(|from| match from {
            SecretFrom::File(path) => Some(path),
            SecretFrom::Env(_) => None,
        });
        let tls = self.server.tls.iter_mut().flat_map(|tls| {
            let authority = tls.client_ca.iter_mut();
            [&mut tls.certificate, &mut tls.key]
                .into_iter()
                .chain(authority)
        });
        let anchors = match &mut self.storage.anchors {
            Anchors::File(path) => Some(path),
            Anchors::Stdout => None,
        };
        let paths = secrets.chain(tls).chain(engine).chain(redis_authority);
        for path in paths.chain(anchors).chain(&mut self.storage.spool) {
            *path = folder.join(&*path);
        }
    }
}
