//! [`SqliteLog`], the one writer of a database.

use std::{
    fmt,
    fs::{File, Metadata, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens_policy::audit::{AuditLog, Entry, Event};
use clerk_actor_tokens_store::{Anchor, LATE, Link, event_word, millis};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Result, StoreError, StoreOptions, derive, lease::LEASES, link, schema};

/// How many records a prune deletes at once. In between, calls are recorded.
const CHUNK: u64 = 2_000;

/// How often, and with which wait, the lock is tried: the thread of a store that was dropped may still hold it.
const LOCK_TRIES: u32 = 100;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// The [`AuditLog`] of a [`Store`](super::Store): the one writer of its database.
///
/// Entries that cannot be written leave no trace. The connection is then replaced, so that the writer recovers
/// when the cause is gone.
pub struct SqliteLog {
    path: PathBuf,
    options: StoreOptions,
    /// Locked while this is the writer.
    _lock: File,
    connection: Connection,
    /// Whether the last task failed, or panicked.
    is_suspect: bool,
    files: FileIds,
    instance: String,
    /// The newest record that is known to be durable.
    head: Link,
    /// The number of the record of the last anchor.
    anchored: Option<u64>,
}

impl SqliteLog {
    /// Locks the database, opens or creates it, and brings its tables up to date.
    pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Self> {
        let lock = lock(path)?;
        create(path).map_err(|source| StoreError::Open {
            path: path.to_owned(),
            source: source.into(),
        })?;
        let mut connection = schema::open(path, options.max_bytes)?;
        schema::migrate(&mut connection, options.instance.as_deref())?;
        let (instance, _) = link::first(&connection)?;
        if options
            .instance
            .as_ref()
            .is_some_and(|name| *name != instance)
        {
            return Err(StoreError::Instance { instance }.into());
        }
        let head = link::head(&connection)?;
        Ok(Self {
            path: path.to_owned(),
            options,
            files: FileIds::of(path)?,
            _lock: lock,
            head,
            connection,
            is_suspect: false,
            instance,
            anchored: None,
        })
    }

    /// Replaces the connection if it is suspect. A task sets `is_suspect` back when it is done.
    fn begin(&mut self) -> Result<()> {
        // SQLite would go on with a file that was moved, and lose what is written.
        if !FileIds::of(&self.path).is_ok_and(|files| files == self.files) {
            return Err(StoreError::Replaced.into());
        }
        if self.is_suspect {
            // The old one is open until then, so that the files beside the database stay.
            self.connection = self.reopen()?;
        }
        self.is_suspect = true;
        Ok(())
    }

    fn reopen(&mut self) -> Result<Connection> {
        let connection = schema::open(&self.path, self.options.max_bytes)?;
        // A write that failed may have become durable, and a file with another history is not continued.
        let (instance, _) = link::first(&connection)?;
        let known = link::at(&connection, self.head.seq)?;
        if instance != self.instance || known != Some(self.head) {
            return Err(StoreError::Replaced.into());
        }
        self.head = link::head(&connection)?;
        Ok(connection)
    }

    fn write(&mut self, entries: &[Entry]) -> Result<()> {
        self.begin()?;
        let transaction = immediate(&mut self.connection)?;
        let mut head = self.head;
        if entries.is_empty() {
            let now = millis(SystemTime::now());
            transaction.execute("UPDATE chain SET probed_at = ?", [now])?;
        }
        for entry in entries {
            head = insert(&transaction, head, entry)?;
        }
        transaction.commit()?;
        (self.head, self.is_suspect) = (head, false);
        Ok(())
    }

    /// Derives the derived tables again.
    pub(super) fn rebuild(&mut self) -> Result<()> {
        self.begin()?;
        let transaction = immediate(&mut self.connection)?;
        schema::rebuild(&transaction)?;
        transaction.commit()?;
        self.is_suspect = false;
        Ok(())
    }

    /// Writes an anchor.
    pub(super) fn anchor(&mut self) -> Result<Anchor> {
        let anchor = Anchor::new(self.instance.clone(), self.head, None);
        write_anchor(&anchor, &self.options)?;
        self.anchored = Some(self.head.seq);
        Ok(anchor)
    }

    /// Writes an anchor if the chain has grown since the last one.
    pub(super) fn anchor_growth(&mut self) -> Result<()> {
        match self.anchored == Some(self.head.seq) {
            true => Ok(()),
            false => self.anchor().map(drop),
        }
    }

    /// Deletes the oldest closed records up to a time, but not too many at once. Returns how many there were.
    pub(super) fn prune(&mut self, before: SystemTime) -> Result<u64> {
        self.begin()?;
        let transaction = immediate(&mut self.connection)?;
        let (_, first) = link::first(&transaction)?;
        let stop = first_to_keep(&transaction, &self.options, first.seq, before)?;
        let last = link::at(&transaction, stop - 1)?.unwrap_or(first);
        if last != first {
            // Written first: an anchor without a prune is harmless.
            let anchor = Anchor::new(self.instance.clone(), self.head, Some(last.seq));
            write_anchor(&anchor, &self.options)?;
            self.anchored = Some(self.head.seq);
            transaction.execute("UPDATE chain SET seq = ?, hash = ?", (last.seq, last.hash))?;
            for table in ["records", "calls", "leases"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE seq < ?"), [stop])?;
            }
        }
        transaction.commit()?;
        self.is_suspect = false;
        Ok(last.seq - first.seq)
    }
}

fn write_anchor(anchor: &Anchor, options: &StoreOptions) -> Result<(), StoreError> {
    let written = anchor.write(&options.anchors);
    written.map_err(|source| StoreError::Anchors { source })
}

/// Writes a record and brings the derived tables up to date, unless the record, or the begin of its call, is there.
fn insert(transaction: &Transaction<'_>, head: Link, entry: &Entry) -> Result<Link> {
    let (call, text) = (entry.call.to_string(), serde_json::to_string(entry)?);
    let exists = |sql: &str, text: Option<&str>| {
        let mut statement = transaction.prepare_cached(sql)?;
        statement.exists(rusqlite::params_from_iter(
            [Some(&*call), text].into_iter().flatten(),
        ))
    };
    let has = |event| {
        let sql = format!("SELECT 1 FROM records WHERE call = ? AND event = '{event}'");
        exists(&sql, None)
    };
    let is_recorded = exists(
        "SELECT 1 FROM records WHERE call = ? AND text = ?",
        Some(&text),
    )?;
    if is_recorded || matches!(entry.event, Event::Begin(_)) && has("begin")? {
        return Ok(head);
    }
    let is_late = matches!(entry.event, Event::End(_)) && has("end")?;
    let event = if is_late {
        LATE
    } else {
        event_word(&entry.event)
    };
    let link = head.next(&text);
    let mut statement = transaction.prepare_cached(
        "INSERT INTO records (seq, call, at, event, text, hash) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        link.seq,
        call,
        millis(entry.at),
        event,
        text,
        link.hash
    ])?;
    derive::apply(transaction, link.seq, is_late, entry)?;
    Ok(link)
}

/// Returns the number of the oldest record that a prune keeps.
fn first_to_keep(
    transaction: &Transaction<'_>,
    options: &StoreOptions,
    first: u64,
    before: SystemTime,
) -> Result<u64> {
    let end = first + CHUNK + 1;
    let sql = format!(
        "SELECT min(seq) FROM (
            SELECT ?3 AS seq
            UNION ALL SELECT 1 + max(seq) FROM records
            UNION ALL SELECT * FROM (SELECT seq FROM records WHERE at >= ?4 ORDER BY seq LIMIT 1)
            UNION ALL SELECT min(seq) FROM calls WHERE end IS NULL
            UNION ALL SELECT min(seq) FROM settings
            UNION ALL SELECT min(seq) FROM ({LEASES})
                WHERE seq < ?3 AND state_now IN ('returned', 'lost', 'accepted') AND until IS NOT NULL
        )"
    );
    let session = options.session_lifetime.as_secs();
    let now = millis(SystemTime::now());
    let row = transaction.query_row(&sql, params![session, now, end, millis(before)], |row| {
        row.get(0)
    });
    Ok(row.optional()?.unwrap_or(first + 1))
}

fn immediate(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Locks the file beside the database. The lock ends with the process.
fn lock(database: &Path) -> Result<File> {
    let path = beside(database, ".lock");
    let failed = |source: io::Error| StoreError::Lock {
        path: path.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed(source).into()),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_WAIT),
        }
    }
    Err(StoreError::InUse { lock: path }.into())
}

/// Creates the file, if it does not exist, so that only its owner can read it.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    Ok(())
}

/// The identity of the database and of its write-ahead log.
#[derive(Clone, Copy, PartialEq)]
struct FileIds([(u64, u64); 2]);

impl FileIds {
    fn of(database: &Path) -> io::Result<Self> {
        let id = |path: &Path| Ok::<_, io::Error>(id(&path.metadata()?));
        Ok(Self([id(database)?, id(&beside(database, "-wal"))?]))
    }
}

#[cfg(unix)]
fn id(file: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;

    (file.dev(), file.ino())
}

/// Files have no identity here.
#[cfg(not(unix))]
fn id(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Returns the path of a file beside the database.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

impl AuditLog for SqliteLog {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.write(entries)
    }
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog")
            .field("path", &self.path)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
