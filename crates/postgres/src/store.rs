//! [`PostgresStore`], the audit of several processes, and what follows from it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{AuditWriter, Entry, Note, SinkUnavailable},
};
use clerk_actor_tokens_store::{
    Anchor, CallDetail, CallFilter, CallRow, Lease, LeaseFilter, LeaseState, LeaseStore, LeftOver,
    Page, Settings,
};
use tokio::{
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_postgres::Client;

use crate::{
    PostgresConfig, PostgresError, PostgresLog, Result, read, session::Session, sweep::Swept,
    telemetry, watch as settings_watch,
};

/// How long a probe of the writer takes at most.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// How long the server works on a read at most.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// How many connections reads use at most.
const READS: usize = 4;

/// The time between two prunes.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The [`AuditSink`](clerk_actor_tokens_policy::AuditSink) of a [`PostgresStore`].
pub type Writer = AuditWriter<PostgresLog>;

/// The audit of several processes, and what follows from it. Clones share it.
///
/// Its thread ends with the last clone, writer and call, and with it the connection. Call [`stop`](Self::stop)
/// before, so that another process need not wait until the beat is stale.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    writer: Writer,
}

struct Shared {
    config: PostgresConfig,
    instance: watch::Receiver<String>,
    /// How many instances this one inherited.
    inherited: watch::Sender<u64>,
    /// Connections that no read uses.
    idle: Mutex<Vec<Session>>,
    /// The connections that reads may use at once.
    reads: Semaphore,
}

impl PostgresStore {
    pub(crate) async fn connect(config: PostgresConfig) -> Result<Self, PostgresError> {
        let shared = config.clone();
        let open = || -> Result<_> {
            let log = PostgresLog::open(config)?;
            let instance = log.instance();
            let writer = Writer::start(log).map_err(|source| PostgresError::Thread { source })?;
            Ok((writer, instance))
        };
        let (writer, instance) = spawn_blocking(open).await.map_err(BoxError::from)??;
        let shared = Arc::new(Shared {
            config: shared,
            instance,
            inherited: watch::Sender::default(),
            idle: Mutex::default(),
            reads: Semaphore::new(READS),
        });
        Ok(Self { shared, writer })
    }

    /// Returns the sink of the audit.
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// Returns the name of the instance that this process is now.
    pub fn instance(&self) -> String {
        self.shared.instance.borrow().clone()
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
    pub async fn calls(&self, filter: CallFilter) -> Result<Page<CallRow>, PostgresError> {
        self.read(async |client| read::calls(client, &filter).await)
            .await
    }

    /// Returns a call with its entries.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn call(&self, call: CallId) -> Result<Option<CallDetail>, PostgresError> {
        self.read(async |client| read::call(client, call).await)
            .await
    }

    /// Returns leases, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn leases(&self, filter: LeaseFilter) -> Result<Vec<Lease>, PostgresError> {
        let lifetime = self.shared.config.session_lifetime;
        self.read(async |client| read::leases(client, &filter, lifetime).await)
            .await
    }

    /// Returns the state of each live lease.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn live_states(&self) -> Result<Vec<LeaseState>, PostgresError> {
        let lifetime = self.shared.config.session_lifetime;
        self.read(async |client| read::live_states(client, lifetime).await)
            .await
    }

    /// Returns the settings.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn settings(&self) -> Result<Settings, PostgresError> {
        self.read(read::settings).await
    }

    /// Returns the settings as they change, by a notification or after two seconds. The value is `None` while it
    /// was not read for 30 s, and at first.
    ///
    /// A task of the current tokio runtime reads them, until the receiver and its clones are dropped.
    pub fn watch_settings(&self) -> watch::Receiver<Option<Settings>> {
        let (settings, receiver) = watch::channel(None);
        tokio::spawn(settings_watch::run(self.shared.config.clone(), settings));
        receiver
    }

    /// Returns how many tokens were minted since a time, or may have been.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn minted_since(&self, since: SystemTime) -> Result<u64, PostgresError> {
        self.read(async |client| read::minted_since(client, since).await)
            .await
    }

    /// Ends the open calls of instances that have stopped without notice, and inherits what they left: from then
    /// on it is in [`left_over`](Self::left_over) of this instance. Returns how many instances there were.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn sweep(&self) -> Result<usize, PostgresError> {
        let mut inherited = 0;
        loop {
            let swept = self.run(PostgresLog::sweep).await?;
            let (Swept::Part(calls) | Swept::All(calls)) = swept else {
                return Ok(inherited);
            };
            let is_inherited = matches!(swept, Swept::All(_));
            telemetry::swept(calls, is_inherited);
            if is_inherited {
                inherited += 1;
                self.shared.inherited.send_modify(|count| *count += 1);
            }
        }
    }

    /// Returns how many instances this one inherited so far, also those that [`maintain`](Self::maintain) found. With
    /// each of them, [`left_over`](Self::left_over) may have more.
    pub fn inherited(&self) -> watch::Receiver<u64> {
        self.shared.inherited.subscribe()
    }

    /// Returns what the instances left that this one inherited: revokes to be sent again, and live leases of a
    /// known id that were lost or, with `unused`, returned.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn left_over(&self, unused: bool) -> Result<LeftOver, PostgresError> {
        let (me, lifetime) = (self.instance(), self.shared.config.session_lifetime);
        self.read(async |client| read::left_over(client, &me, unused, lifetime).await)
            .await
    }

    /// Returns the live leases that belong to this instance or that it inherited.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn own_leases(&self) -> Result<Vec<Lease>, PostgresError> {
        self.read_own_leases(false).await
    }

    /// Returns the live leases of an unknown id that belong to this instance or that it inherited. Their sessions
    /// are watched, see [`Leases::watch`](clerk_actor_tokens_store::Leases).
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn unknown_leases(&self) -> Result<Vec<Lease>, PostgresError> {
        self.read_own_leases(true).await
    }

    async fn read_own_leases(&self, unknown_only: bool) -> Result<Vec<Lease>, PostgresError> {
        let (me, lifetime) = (self.instance(), self.shared.config.session_lifetime);
        self.read(async |client| read::own_leases(client, &me, unknown_only, lifetime).await)
            .await
    }

    /// Writes an anchor of the newest record of this instance.
    ///
    /// # Errors
    ///
    /// When the anchor cannot be written.
    pub async fn anchor(&self) -> Result<Anchor, PostgresError> {
        self.run(PostgresLog::anchor).await
    }

    /// Beats, sweeps, writes anchors and prunes records in the configured intervals. It never ends; drop it with
    /// the store.
    pub async fn maintain(&self) {
        let config = &self.shared.config;
        let every = |time: Duration| {
            let mut interval = interval(time.max(Duration::from_millis(1)));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let mut beats = every(config.beat);
        let (mut anchors, mut prunes) = (every(config.anchor_every), every(PRUNE_EVERY));
        loop {
            let done = tokio::select! {
                _ = beats.tick() => self.beat_and_sweep().await,
                _ = anchors.tick() => self.run(PostgresLog::anchor_growth).await,
                _ = prunes.tick() => {
                    let before = SystemTime::now().checked_sub(config.keep);
                    self.prune(before.unwrap_or(UNIX_EPOCH)).await.map(drop)
                }
            };
            if let Err(error) = done {
                telemetry::not_maintained(&error);
            }
        }
    }

    async fn beat_and_sweep(&self) -> Result<(), PostgresError> {
        self.writer.flush().await.map_err(BoxError::from)?;
        self.sweep().await.map(drop)
    }

    /// Deletes the oldest records up to a time, and writes anchors that say so: those of this instance, and of
    /// instances that have ended. Returns how many there were.
    ///
    /// A chain keeps its records from the first one whose call is younger, has no end, has a lease that may be live,
    /// or has older records in another chain, and from the note of a setting in force.
    ///
    /// # Errors
    ///
    /// When the database or an anchor cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps the rest.
    pub async fn prune(&self, before: SystemTime) -> Result<u64, PostgresError> {
        let mut pruned = 0;
        loop {
            match self.run(move |log| log.prune(before)).await? {
                0 => return Ok(pruned),
                count => pruned += count,
            }
        }
    }

    /// Ends the instance. With `is_complete` nothing is left of it; otherwise another instance inherits it.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn stop(&self, is_complete: bool) -> Result<(), PostgresError> {
        self.run(move |log| log.stop(is_complete)).await
    }

    /// Runs a task on the thread of the writer.
    async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut PostgresLog) -> Result<T> + Send + 'static,
    ) -> Result<T, PostgresError> {
        let done = self.writer.run(move |log| Ok(task(log))).await;
        Ok(done.map_err(BoxError::from)??)
    }

    /// Reads by a connection of its own. A connection that is lost is replaced by the next read.
    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&Client) -> Result<T>,
    ) -> Result<T, PostgresError> {
        let shared = &self.shared;
        let idle = || shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let _permit = shared.reads.acquire().await.map_err(BoxError::from)?;
        idle().retain(|session| !session.client.is_closed());
        let session = idle().pop();
        let session = match session {
            Some(session) => session,
            None => Session::open(&shared.config, Some(READ_LIMIT)).await?,
        };
        let result = read(&session.client).await?;
        idle().push(session);
        Ok(result)
    }
}

impl LeaseStore for PostgresStore {
    type Error = PostgresError;

    async fn leases(&self, filter: LeaseFilter) -> Result<Vec<Lease>, PostgresError> {
        self.leases(filter).await
    }

    async fn note(&self, note: Note) -> Result<(), SinkUnavailable> {
        self.write(vec![Entry::note(note)]).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
