//! The tables of the database, their migrations, and how connections are opened.

use std::{path::Path, time::Duration};

use clerk_actor_tokens_store::Link;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Result, StoreError, derive};

/// The steps from an empty database to the present one. `user_version` counts those that were taken.
const MIGRATIONS: [&str; 1] = ["
    -- One row: the instance, and the link that the first record follows. Prune moves that link.
    CREATE TABLE chain (
        instance TEXT NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, probed_at INTEGER
    );
    -- Every entry. `event` is that of the text, or `late` for a second end of a call.
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY, call TEXT NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
        text TEXT NOT NULL, hash BLOB NOT NULL
    );
    CREATE INDEX records_call ON records (call);
    CREATE UNIQUE INDEX records_end ON records (call) WHERE event = 'end';
"];

/// The tables that are derived from the records. After a migration they are derived again.
///
/// `seq` is that of the call's begin.
pub(super) const DERIVED: &str = "
    CREATE TABLE calls (
        seq INTEGER PRIMARY KEY, call TEXT NOT NULL UNIQUE, began_at INTEGER NOT NULL,
        operation TEXT NOT NULL, principal TEXT, via TEXT, policy TEXT, actor TEXT, subject TEXT,
        reason TEXT, session_lifetime INTEGER, actor_token_id TEXT,
        sending_at INTEGER, ended_at INTEGER, end TEXT, outcome TEXT, status INTEGER, code TEXT,
        rule TEXT
    );
    CREATE INDEX calls_began_at ON calls (began_at);
    CREATE INDEX calls_actor ON calls (actor);
    CREATE INDEX calls_subject ON calls (subject);
    CREATE INDEX calls_principal ON calls (principal);
    CREATE INDEX calls_revoke ON calls (actor_token_id) WHERE operation = 'revoke';
    CREATE INDEX calls_open ON calls (seq) WHERE end IS NULL;

    CREATE TABLE leases (
        seq INTEGER PRIMARY KEY, call TEXT NOT NULL UNIQUE, actor_token_id TEXT,
        subject TEXT NOT NULL, actor TEXT NOT NULL, principal TEXT, reason TEXT,
        created_at INTEGER NOT NULL, known_at INTEGER NOT NULL, live_until INTEGER,
        session_lifetime INTEGER, accepted_at INTEGER, state TEXT NOT NULL, ended_at INTEGER
    );
    CREATE INDEX leases_actor_token_id ON leases (actor_token_id);
    CREATE INDEX leases_subject ON leases (subject);
    CREATE INDEX leases_actor ON leases (actor);
    CREATE INDEX leases_known_at ON leases (known_at);
    CREATE INDEX leases_live_until ON leases (ifnull(live_until, 9e15));
    CREATE INDEX leases_session_lifetime ON leases (session_lifetime);

    CREATE TABLE settings (
        name TEXT PRIMARY KEY, seq INTEGER NOT NULL, since INTEGER NOT NULL, by TEXT, reason TEXT
    );
";

const DERIVED_TABLES: [&str; 3] = ["calls", "leases", "settings"];

/// How long a connection waits for another one that writes.
const BUSY: Duration = Duration::from_secs(1);

/// Opens the database to write.
pub(super) fn open(path: &Path, max_bytes: Option<u64>) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS, fsync alone does not reach the disk.
    connection.pragma_update(None, "fullfsync", true)?;
    if let Some(bytes) = max_bytes {
        let size: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.pragma_update(None, "max_page_count", (bytes / size).max(1))?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens the database to read.
pub(super) fn open_read_only(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    match version(&connection)? {
        version if version == MIGRATIONS.len() => Ok(connection),
        version => Err(StoreError::Version { version }.into()),
    }
}

/// Returns the URI by which a database can be attached to read.
pub(super) fn read_only_uri(path: &Path) -> Result<String> {
    let path = path.to_str();
    let path = path.ok_or("its path is not UTF-8")?;
    let path = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    Ok(format!("file:{path}?mode=ro"))
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the tables up to date. An empty database becomes that of `instance`, or of a new instance.
pub(super) fn migrate(connection: &mut Connection, instance: Option<&str>) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&transaction)?;
    let Some(steps) = MIGRATIONS.get(from..) else {
        return Err(StoreError::Version { version: from }.into());
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    if from == 0 {
        let random =
            || transaction.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0));
        let instance = instance.map(str::to_owned).map_or_else(random, Ok)?;
        let root = Link::root(&instance);
        transaction.execute(
            "INSERT INTO chain (instance, seq, hash) VALUES (?, ?, ?)",
            (&instance, root.seq, root.hash),
        )?;
        transaction.execute_batch(DERIVED)?;
    } else if !steps.is_empty() {
        rebuild(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    Ok(transaction.commit()?)
}

/// Derives the derived tables again, from all records.
pub(super) fn rebuild(connection: &Connection) -> Result<()> {
    for table in DERIVED_TABLES {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    connection.execute_batch(DERIVED)?;
    derive::all(connection)
}

/// Returns a row that differs between the derived tables of two schemas, in words.
pub(super) fn difference(
    connection: &Connection,
    one: &str,
    other: &str,
) -> rusqlite::Result<Option<String>> {
    for table in DERIVED_TABLES {
        let key = if table == "settings" { "name" } else { "call" };
        for (left, right) in [(one, other), (other, one)] {
            let sql = format!(
                "SELECT {key} FROM (SELECT * FROM {left}.{table} EXCEPT SELECT * FROM {right}.{table})"
            );
            let mut statement = connection.prepare(&sql)?;
            if let Some(row) = statement.query([])?.next()? {
                return Ok(Some(format!("{} in {table}", row.get::<_, String>(0)?)));
            }
        }
    }
    Ok(None)
}
