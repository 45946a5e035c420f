//! [`PostgresLog`], the one writer of an instance.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{AuditLog, End, Entry, Event},
};
use clerk_actor_tokens_store::{Anchor, Link, call_id};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_postgres::{Row, Statement, error::Severity, types::ToSql};

use crate::{
    PostgresConfig, PostgresError, Result, entry, prune, random, schema,
    session::{Session, refuse_pooler},
    sweep::{self, Swept},
    telemetry,
};

/// How much longer than a statement a task takes that has several, such as to connect.
const TASK: u32 = 5;

/// How much longer than its limit this waits for a statement. The server cancels it first, so that the connection and
/// the identity are kept.
const GRACE: Duration = Duration::from_millis(500);

/// How long a migration takes at most, with those of other processes before it.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);

/// The SQLSTATE of `append` when the instance has ended.
const HAS_ENDED: &str = "AT001";

/// The [`AuditLog`] of a [`PostgresStore`](super::PostgresStore): the one writer of its instance.
///
/// It has one connection, which holds the advisory lock of the instance. If that connection is lost, it registers a
/// new instance, which inherits the calls of the one before unless another process has swept that.
pub struct PostgresLog {
    config: PostgresConfig,
    runtime: Runtime,
    writer: Option<Connected>,
    state: State,
}

/// The connection that writes.
struct Connected {
    session: Session,
    append: Statement,
}

/// The identity of the log, and its chain.
struct State {
    instance: watch::Sender<String>,
    /// The instances of this process that may be registered, and are not known to have an heir. The last one is
    /// the present one.
    registered: Vec<String>,
    /// The newest record that is known to be durable.
    head: Link,
    /// The calls whose begin failed and may be durable all the same, because the response was lost.
    unsure: Vec<CallId>,
    /// The number of the record of the last anchor of each chain.
    anchored: HashMap<String, u64>,
    is_stopped: bool,
}

impl PostgresLog {
    /// Brings the tables up to date, connects, and registers an instance. It blocks.
    pub(crate) fn open(config: PostgresConfig) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let state = State {
            instance: watch::Sender::default(),
            registered: Vec::new(),
            head: Link::root(""),
            unsure: Vec::new(),
            anchored: HashMap::new(),
            is_stopped: false,
        };
        let mut log = Self {
            config,
            runtime,
            writer: None,
            state,
        };
        log.migrate()?;
        log.run(1, async |_, _| Ok(()))?;
        Ok(log)
    }

    fn migrate(&self) -> Result<()> {
        let work = async {
            refuse_pooler(&self.config).await?;
            let mut session = Session::open(&self.config, None).await?;
            schema::migrate(&mut session.client, &self.config.schema).await?;
            session.close().await;
            Ok(())
        };
        let limit = Instant::now() + MIGRATION_LIMIT;
        self.runtime.block_on(timed(limit, work))
    }

    /// Returns the name of the instance, which changes when the connection was lost.
    pub(crate) fn instance(&self) -> watch::Receiver<String> {
        self.state.instance.subscribe()
    }

    /// Runs a task on the connection of the instance, for `statements` times the limit of one.
    ///
    /// A connection that was lost before is replaced. After an error the connection is kept, unless the error shows
    /// that it, or the identity, is lost.
    fn run<T>(
        &mut self,
        statements: u32,
        task: impl AsyncFnOnce(&mut Connected, &mut State) -> Result<T>,
    ) -> Result<T> {
        if self.state.is_stopped {
            return Err(PostgresError::Stopped.into());
        }
        let limit = |statements| Instant::now() + self.config.statement_limit * statements + GRACE;
        let (config, state) = (&self.config, &mut self.state);
        let writer = self.writer.take();
        let (writer, result) = self.runtime.block_on(async {
            let writer = match writer {
                Some(writer) if !writer.session.client.is_closed() => Ok(writer),
                _ => timed(limit(TASK), Connected::open(config, state)).await,
            };
            let mut writer = match writer {
                Ok(writer) => writer,
                Err(error) => return (None, Err(error)),
            };
            match timed(limit(statements), task(&mut writer, state)).await {
                Err(error) if is_lost(&error) => {
                    writer.session.close().await;
                    (None, Err(error))
                }
                result => (Some(writer), result),
            }
        });
        self.writer = writer;
        result
    }

    fn write(&mut self, batch: &str, begins: &[CallId]) -> Result<()> {
        self.run(1, async |writer, state| {
            let sure = state.unsure.len();
            state.unsure.extend_from_slice(begins);
            let parameters: [&(dyn ToSql + Sync); 2] = [&state.present(), &batch];
            let append = writer.session.client.query_one(&writer.append, &parameters);
            match append.await {
                Ok(row) => {
                    state.head = entry::link(row.try_get(0)?, row.try_get(1)?)?;
                    state.unsure.clear();
                    Ok(())
                }
                Err(error) => {
                    if !is_fatal(&error) {
                        state.unsure.truncate(sure);
                    }
                    Err(error.into())
                }
            }
        })
    }

    /// Ends the calls that have begun although their callers got an error.
    fn abandon(&mut self) -> Result<()> {
        if self.state.unsure.is_empty() {
            return Ok(());
        }
        // By now the lost transaction has ended: its instance was replaced, for which its lock was needed.
        let open = self.run(1, async |writer, state| {
            let calls: Vec<_> = state.unsure.iter().map(ToString::to_string).collect();
            let sql = "SELECT call FROM calls WHERE call = ANY($1) AND ended_at IS NULL";
            let rows = writer.session.client.query(sql, &[&calls]).await?;
            let call = |row: &Row| Ok(call_id(row.try_get(0)?)?);
            rows.iter().map(call).collect::<Result<Vec<_>>>()
        })?;
        let ends = open.into_iter();
        let ends: Vec<_> = ends
            .map(|call| Entry::new(call, Event::End(End::Abandoned)))
            .collect();
        self.write(&entry::batch(&ends)?, &[])
    }

    /// Inherits one instance that has stopped without notice, or ends some of its calls.
    pub(crate) fn sweep(&mut self) -> Result<Swept> {
        let (stale, call_timeout) = (self.config.stale, self.config.call_timeout);
        self.run(TASK, async |writer, state| {
            let Connected { session, append } = writer;
            let me = state.present().to_owned();
            let (swept, head) =
                sweep::one(&mut session.client, append, &me, stale, call_timeout).await?;
            state.head = head.unwrap_or(state.head);
            Ok(swept)
        })
    }

    /// Deletes the oldest closed records up to a time, but not too many at once. Returns how many there were.
    pub(crate) fn prune(&mut self, before: SystemTime) -> Result<u64> {
        let config = self.config.clone();
        self.run(TASK, async |writer, state| {
            let me = state.present().to_owned();
            prune::prune(&mut writer.session.client, &me, before, &config).await
        })
    }

    /// Writes an anchor.
    pub(crate) fn anchor(&mut self) -> Result<Anchor> {
        let State { head, .. } = self.state;
        let instance = self.state.present().to_owned();
        self.write_anchor(instance, head)
    }

    /// Writes an anchor of each chain that has grown since the last one: of its own, and of those that it inherited.
    pub(crate) fn anchor_growth(&mut self) -> Result<()> {
        let sql = "SELECT instance, seq, hash FROM instances WHERE heir = $1";
        let mut heads = self.run(1, async |writer, state| {
            let rows = writer
                .session
                .client
                .query(sql, &[&state.present()])
                .await?;
            let head = |row: &Row| {
                let (instance, seq, hash) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                Ok((instance, entry::link(seq, hash)?))
            };
            rows.iter()
                .map(head)
                .collect::<Result<Vec<(String, Link)>>>()
        })?;
        heads.push((self.state.present().to_owned(), self.state.head));
        for (instance, head) in heads {
            if self.state.anchored.get(&instance) != Some(&head.seq) {
                self.write_anchor(instance, head)?;
            }
        }
        Ok(())
    }

    fn write_anchor(&mut self, instance: String, head: Link) -> Result<Anchor> {
        let anchor = Anchor::new(instance.clone(), head, None);
        let written = anchor.write(&self.config.anchors);
        written.map_err(|source| PostgresError::Anchors { source })?;
        self.state.anchored.insert(instance, head.seq);
        Ok(anchor)
    }

    /// Ends the instance, or lets another one inherit it at once.
    pub(crate) fn stop(&mut self, is_complete: bool) -> Result<()> {
        self.run(1, async |writer, state| {
            let sql = "SELECT stop($1, $2)";
            let parameters: [&(dyn ToSql + Sync); 2] = [&state.present(), &is_complete];
            writer.session.client.execute(sql, &parameters).await?;
            Ok(())
        })?;
        self.state.is_stopped = true;
        if let Some(writer) = self.writer.take() {
            self.runtime.block_on(writer.session.close());
        }
        Ok(())
    }
}

impl State {
    fn present(&self) -> &str {
        self.registered.last().map_or("", |instance| instance)
    }
}

impl Connected {
    /// Connects and registers a new instance.
    async fn open(config: &PostgresConfig, state: &mut State) -> Result<Self> {
        let session = Session::open(config, Some(config.statement_limit)).await?;
        let append = "SELECT seq, hash FROM append($1, $2::text::jsonb)";
        let append = session.client.prepare(append).await?;
        let (instance, lock) = (hex::encode(random::<16>()?), i64::from_be_bytes(random()?));
        // The lock is held before there is a row, so that nothing is committed under an identity without its lock.
        let sql = "SELECT pg_try_advisory_lock($1)";
        if !session.client.query_one(sql, &[&lock]).await?.try_get(0)? {
            return Err("another process has the same random number".into());
        }
        let earlier = state.registered.clone();
        // From here on it may be registered, unless the server responds that it is not.
        state.registered.push(instance.clone());
        let parameters: [&(dyn ToSql + Sync); 3] = [&instance, &lock, &earlier];
        let sql = "SELECT register($1, $2, $3)";
        if let Err(error) = session.client.execute(sql, &parameters).await {
            if !is_fatal(&error) {
                state.registered.pop();
            }
            return Err(error.into());
        }
        if !earlier.is_empty() {
            telemetry::reconnected(&instance);
        }
        state.registered = vec![instance.clone()];
        state.head = Link::root(&instance);
        state.instance.send_replace(instance);
        Ok(Self { session, append })
    }
}

impl AuditLog for PostgresLog {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BoxError> {
        let begun = Instant::now();
        let batch = entry::batch(entries)?;
        self.abandon()?;
        // The call of a spooled begin has an end in the spool.
        let is_begin = |entry: &&Entry| matches!(entry.event, Event::Begin(_)) && !entry.late;
        let begins: Vec<_> = entries.iter().filter(is_begin).map(|it| it.call).collect();
        let is_connected = self.writer.is_some();
        let mut result = self.write(&batch, &begins);
        // A connection that was lost unnoticed is replaced at once. After a timeout the caller has left.
        let is_lost = self.writer.is_none() && is_connected;
        if is_lost && !matches!(&result, Err(error) if is_timeout(error)) {
            result = self.write(&batch, &begins);
        }
        telemetry::appended(entries.len(), result.is_ok(), begun.elapsed());
        // The writer shows the error, and not its sources.
        result.map_err(|error| PostgresError::from(error).into())
    }
}

async fn timed<T>(limit: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    let result = timeout_at(limit, work).await;
    result.unwrap_or_else(|_| Err(PostgresError::Timeout.into()))
}

fn is_timeout(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(PostgresError::Timeout))
}

/// Returns whether an error shows that the connection, or the identity, is lost.
fn is_lost(error: &BoxError) -> bool {
    let Some(error) = error.downcast_ref::<tokio_postgres::Error>() else {
        return is_timeout(error);
    };
    is_fatal(error) || error.code().is_some_and(|code| code.code() == HAS_ENDED)
}

/// Returns whether an error ends the connection. Without one, the server has rolled back the statement.
fn is_fatal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none_or(|error| {
        let severity = error.parsed_severity();
        matches!(severity, Some(Severity::Fatal | Severity::Panic))
    })
}

impl fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLog")
            .field("instance", &self.state.present())
            .finish_non_exhaustive()
    }
}
