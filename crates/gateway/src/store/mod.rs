//! The storage on one machine: an audit in SQLite, and derived tables. Long, because its API stands in one place.
//!
//! Everything that happens is an entry of the audit. Each entry is a record in a hash chain; the tables of calls,
//! leases and settings are derived from records in the same transaction.
//!
//! One process writes: a lock file stands beside the database. An append is durable as a whole (WAL,
//! `synchronous=FULL`), or it is undone. [`verify`] and [`export`] only read, also while a gateway runs.
//!
//! ```
//! use clerk_actor_tokens::{ClientBuilder, sandbox::Sandbox};
//! use clerk_actor_tokens_gateway::store::{CallFilter, Store, StoreOptions, verify};
//! use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("audit.sqlite");
//! let store = Store::open(&path, StoreOptions::new())?;
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .observe_layer(AuditLayer::new(store.writer()))
//!     .call_layer(AuditBarrierLayer::new())
//!     .build()?;
//! client.revoke("act_1").await.unwrap_err();
//!
//! let calls = store.calls(CallFilter::default()).await?;
//! assert_eq!(calls.items[0].end.as_deref(), Some("failed"));
//! assert_eq!(verify(&path, None)?.records, 3);
//! # Ok(())
//! # }
//! ```

mod calls;
mod derive;
mod error;
mod export;
mod lease;
mod link;
mod log;
mod query;
mod schema;
mod verify;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{AuditWriter, Entry, SinkUnavailable},
};
use clerk_actor_tokens_store::LeaseStore;
use rusqlite::{Connection, OptionalExtension};
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

pub use self::{error::StoreError, export::export, log::SqliteLog, verify::verify};

pub use clerk_actor_tokens_policy::audit::Note;
pub use clerk_actor_tokens_store::{
    Anchor, Anchors, CallDetail, CallFilter, CallRow, Flag, Lease, LeaseFilter, LeaseState,
    LeftOver, OpenCall, PAUSED, Page, QUOTA_CLOSED, QUOTA_REOPENED, RESUMED, Settings, Tampered,
    Verified, VerifyError, millis,
};

/// How long a probe of the writer takes at most.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// The time between two prunes.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The [`AuditSink`](clerk_actor_tokens_policy::AuditSink) of a [`Store`].
pub type Writer = AuditWriter<SqliteLog>;

/// The audit in a database, and what follows from it. Clones share it.
///
/// Its thread ends with the last clone, writer and call, and so does the lock of the database.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    writer: Writer,
}

struct Shared {
    path: PathBuf,
    options: StoreOptions,
    /// Connections that no read uses.
    idle: Mutex<Vec<Connection>>,
}

/// The options of a [`Store`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// The name of the instance, which a new database keeps. Default: a random one.
    pub instance: Option<String>,
    /// Where anchors are written. Default: the standard output.
    pub anchors: Anchors,
    /// The time between two anchors. Default: 60 s.
    pub anchor_every: Duration,
    /// How long closed records are kept. Default: 400 days.
    pub keep: Duration,
    /// The longest lifetime of a session whose call does not set it. Default: 30 minutes, as at Clerk.
    pub session_lifetime: Duration,
    /// The largest size of the database. A full one is unavailable until records are pruned. Default: none.
    pub max_bytes: Option<u64>,
}

impl StoreOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self {
            instance: None,
            anchors: Anchors::default(),
            anchor_every: Duration::from_secs(60),
            keep: Duration::from_secs(400 * 86_400),
            session_lifetime: Duration::from_secs(30 * 60),
            max_bytes: None,
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// Opens the database, or creates it, and brings its tables up to date. It must be on a local disk.
    ///
    /// # Errors
    ///
    /// When another process uses the database, or it cannot be opened.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let log = SqliteLog::open(path, options.clone())?;
        let writer = Writer::start(log).map_err(|source| StoreError::Thread { source })?;
        let shared = Shared {
            path: path.to_owned(),
            options,
            idle: Mutex::default(),
        };
        let shared = Arc::new(shared);
        Ok(Self { shared, writer })
    }

    /// Returns the sink of the audit.
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// Records a fact that belongs to no call. The notes [`PAUSED`], [`RESUMED`], [`QUOTA_CLOSED`] and
    /// [`QUOTA_REOPENED`] change the [settings](Self::settings).
    ///
    /// # Errors
    ///
    /// When it is not durable.
    pub async fn note(&self, note: Note) -> Result<(), SinkUnavailable> {
        self.write(vec![Entry::note(note)]).await
    }

    /// Records entries, all or none. An entry that is recorded already is left out.
    ///
    /// # Errors
    ///
    /// When they are not durable.
    pub async fn write(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        self.writer.write(entries).await
    }

    /// Returns whether an entry could be recorded now, within two seconds.
    pub async fn is_available(&self) -> bool {
        let probe = timeout(PROBE_LIMIT, self.writer.flush()).await;
        matches!(probe, Ok(Ok(())))
    }

    /// Returns a page of calls, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn calls(&self, filter: CallFilter) -> Result<Page<CallRow>, StoreError> {
        self.read(move |connection, _| calls::page(connection, &filter))
            .await
    }

    /// Returns a call with its entries.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn call(&self, call: CallId) -> Result<Option<CallDetail>, StoreError> {
        self.read(move |connection, _| calls::detail(connection, call))
            .await
    }

    /// Returns leases, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn leases(&self, filter: LeaseFilter) -> Result<Vec<Lease>, StoreError> {
        self.read(move |connection, options| {
            lease::select(connection, &filter, options.session_lifetime)
        })
        .await
    }

    /// Returns the state of each live lease.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn live_states(&self) -> Result<Vec<LeaseState>, StoreError> {
        self.read(|connection, options| lease::live_states(connection, options.session_lifetime))
            .await
    }

    /// Returns the settings.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn settings(&self) -> Result<Settings, StoreError> {
        self.read(|connection, _| {
            let flag = |name: &str| {
                let sql = "SELECT since, by, reason FROM settings WHERE name = ?";
                let read = |row: &rusqlite::Row<'_>| {
                    let (since, by, reason) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(Flag { since, by, reason })
                };
                connection.query_row(sql, [name], read).optional()
            };
            Ok(Settings::read(flag)?)
        })
        .await
    }

    /// Returns how many tokens were minted since a time, or may have been.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn minted_since(&self, since: SystemTime) -> Result<u64, StoreError> {
        self.read(move |connection, _| {
            let sql = "SELECT count(*) FROM leases WHERE known_at >= ?";
            Ok(connection.query_row(sql, [millis(since)], |row| row.get(0))?)
        })
        .await
    }

    /// Returns the calls that have begun and have no end. Before the first call of a process they are those of
    /// processes that were killed.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn open_calls(&self) -> Result<Vec<OpenCall>, StoreError> {
        self.read(|connection, _| calls::open(connection)).await
    }

    /// Returns what processes left that were killed: revokes that may not have reached the API, and live leases of a
    /// known id that were lost or, with `unused`, returned.
    ///
    /// A revoke is owed until a later one of its token took effect or was rejected.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn left_over(&self, unused: bool) -> Result<LeftOver, StoreError> {
        let mut leases = self.leases(LeaseFilter::live()).await?;
        leases.retain(|lease| {
            let is_to_end = match lease.state {
                LeaseState::Returned => unused,
                state => state == LeaseState::Lost,
            };
            is_to_end && lease.actor_token_id.is_some()
        });
        let revokes = self.read(|connection, _| calls::owed_revokes(connection));
        Ok(LeftOver {
            revokes: revokes.await?,
            leases,
        })
    }

    /// Writes an anchor of the newest record.
    ///
    /// # Errors
    ///
    /// When the anchor cannot be written.
    pub async fn anchor(&self) -> Result<Anchor, StoreError> {
        self.run(SqliteLog::anchor).await
    }

    /// Deletes the oldest records up to a time, and writes an anchor that says so. Returns how many there were.
    ///
    /// It stops at the first record that is younger, or belongs to a call without an end, to a lease that may
    /// be live, or to a setting in force.
    ///
    /// # Errors
    ///
    /// When the database or the anchor cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps the rest.
    pub async fn prune(&self, before: SystemTime) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            match self.run(move |log| log.prune(before)).await? {
                0 => return Ok(pruned),
                count => pruned += count,
            }
        }
    }

    /// Derives the tables of calls, leases and settings again, from all records.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn rebuild(&self) -> Result<(), StoreError> {
        self.run(SqliteLog::rebuild).await
    }

    /// Writes anchors and prunes records in the configured intervals. It never ends; drop it with the store.
    pub async fn maintain(&self) {
        let options = &self.shared.options;
        let mut anchors = interval(options.anchor_every.max(Duration::from_millis(1)));
        let mut prunes = interval(PRUNE_EVERY);
        for interval in [&mut anchors, &mut prunes] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let done = tokio::select! {
                _ = anchors.tick() => self.run(SqliteLog::anchor_growth).await,
                _ = prunes.tick() => {
                    let before = SystemTime::now().checked_sub(options.keep);
                    self.prune(before.unwrap_or(UNIX_EPOCH)).await.map(drop)
                }
            };
            if let Err(error) = done {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "could not maintain the audit");
            }
        }
    }

    /// Runs a task on the thread of the writer.
    async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut SqliteLog) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.writer.run(move |log| Ok(task(log))).await;
        Ok(done.map_err(BoxError::from)??)
    }

    /// Runs a read on a thread of its own, with a connection that cannot write.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &StoreOptions) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let task = spawn_blocking(move || -> Result<T> {
            let idle = || shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = idle().pop();
            let connection = connection.map_or_else(|| schema::open_read_only(&shared.path), Ok)?;
            let result = read(&connection, &shared.options)?;
            idle().push(connection);
            Ok(result)
        });
        Ok(task.await.map_err(BoxError::from)??)
    }
}

impl LeaseStore for Store {
    type Error = StoreError;

    async fn leases(&self, filter: LeaseFilter) -> Result<Vec<Lease>, StoreError> {
        self.leases(filter).await
    }

    async fn note(&self, note: Note) -> Result<(), SinkUnavailable> {
        self.note(note).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

/// The result of the parts of a store. A [`StoreError`] in it is returned as it is.
type Result<T, E = BoxError> = std::result::Result<T, E>;
