//! [`Storage`], where the audit is stored: one file, or a server that several gateways share.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{Anchors, SecretFrom, read::seconds};

/// Where the audit is stored. It has either `database` or `postgres`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
#[non_exhaustive]
pub struct Storage {
    /// The field `database` or `postgres`.
    pub engine: Engine,
    /// Where anchors of the hash chain are written: a file on another disk, or `stdout`. Default: `stdout`.
    pub anchors: Anchors,
    /// The time between two anchors. Default: 60 s.
    pub anchor_every: Duration,
    /// For how many days closed records are kept. Default: 400.
    pub keep_days: u32,
    /// The local file in which the end of a create may wait while the database cannot be written, so that its token is
    /// returned. Otherwise the token is revoked. The field `spool_ends` turns it on, and `spool` is its path.
    /// Default: none, and beside an SQLite database with `spool_ends` alone.
    pub spool: Option<PathBuf>,
}

/// The database of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// `database`, the file of an SQLite database of one gateway. A lock file is beside it.
    Sqlite(PathBuf),
    /// `postgres`, a database of several gateways.
    Postgres(Postgres),
}

/// PostgreSQL, where several gateways share the audit, the leases and the settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Postgres {
    /// The URL, such as `postgres://user:password@host/database?sslmode=require`. It may have a password, so it is a
    /// secret. It is that of the server itself, or of a pooler of sessions.
    pub url: SecretFrom,
    /// The schema of the tables. Default: `actor_tokens`.
    #[serde(default)]
    pub schema: Option<String>,
    /// The authority of the server's certificate, a PEM file. Default: those of the operating system.
    #[serde(default)]
    pub root_certificate: Option<PathBuf>,
    /// The time of a statement. Default: 2 s.
    #[serde(default = "statement_limit", deserialize_with = "seconds")]
    pub statement_limit: Duration,
}

/// The fields of a [`Storage`] as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    database: Option<PathBuf>,
    postgres: Option<Postgres>,
    #[serde(default)]
    anchors: Anchors,
    #[serde(default = "anchor_every", deserialize_with = "seconds")]
    anchor_every: Duration,
    #[serde(default = "keep_days")]
    keep_days: u32,
    #[serde(default)]
    spool_ends: bool,
    spool: Option<PathBuf>,
}

fn anchor_every() -> Duration {
    Duration::from_secs(60)
}

fn statement_limit() -> Duration {
    Duration::from_secs(2)
}

fn keep_days() -> u32 {
    400
}

impl TryFrom<Fields> for Storage {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let engine = match (fields.database, fields.postgres) {
            (Some(path), None) => Engine::Sqlite(path),
            (None, Some(postgres)) => Engine::Postgres(postgres),
            (Some(_), Some(_)) => {
                return Err("write either `database` or `postgres`, not both");
            }
            (None, None) => {
                return Err(
                    "write `database = \"/path\"`, or `postgres = { url = { file = \"/path\" } }`",
                );
            }
        };
        let spool = match (fields.spool_ends, fields.spool, &engine) {
            (false, None, _) => None,
            (false, Some(_), _) => return Err("`spool` needs `spool_ends = true`"),
            (true, Some(path), _) => Some(path),
            (true, None, Engine::Sqlite(path)) => Some(path.with_extension("spool.jsonl")),
            (true, None, Engine::Postgres(_)) => {
                return Err(
                    "`spool_ends` with `postgres` needs `spool = \"/path\"`, a file on a local disk",
                );
            }
        };
        Ok(Self {
            engine,
            anchors: fields.anchors,
            anchor_every: fields.anchor_every,
            keep_days: fields.keep_days,
            spool,
        })
    }
}

impl Storage {
    /// Returns how long closed records are kept.
    pub(crate) fn keep(&self) -> Duration {
        Duration::from_secs(86_400) * self.keep_days
    }
}
