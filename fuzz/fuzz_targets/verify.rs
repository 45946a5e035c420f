//! Any change of a database by hand: `verify` finds it, with anchors that cover the newest record.
//!
//! Input: a byte for the base, which is pruned or not, two for the place in which a byte changes, one that says
//! how, and one for the number of changes of values, rows and hashes, which follow. Without any change, the rest
//! are the anchors.

#![no_main]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, UNIX_EPOCH},
};

use arbitrary::{Arbitrary, Unstructured};
use clerk_actor_tokens_fuzz::{io_runtime, workspace};
use clerk_actor_tokens_gateway::{
    config::Anchors,
    store::{Store, StoreOptions, Verified, export, verify},
};
use clerk_actor_tokens_policy::audit::Entry;
use libfuzzer_sys::fuzz_target;
use rusqlite::{Connection, params, types::Value};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A create that was settled, a second end, a revoke, a refusal, and notes that change settings.
const ENTRIES: &str = include_str!("../src/audit.jsonl");

/// The columns that a reader sees. `event` follows from the text, except that a second end may be the only one
/// that a prune left. `probed_at` is no fact.
const SELECTS: [&str; 5] = [
    "SELECT seq, call, at, text, hash FROM records NOT INDEXED ORDER BY seq",
    "SELECT instance, seq, hash FROM chain",
    "SELECT * FROM calls NOT INDEXED ORDER BY seq",
    "SELECT * FROM leases NOT INDEXED ORDER BY seq",
    "SELECT * FROM settings NOT INDEXED ORDER BY name",
];

const TABLES: [(&str, &[&str]); 5] = [
    ("records", &["seq", "call", "at", "event", "text", "hash"]),
    ("chain", &["instance", "seq", "hash"]),
    (
        "calls",
        &[
            "seq",
            "call",
            "began_at",
            "operation",
            "principal",
            "via",
            "policy",
            "actor",
            "subject",
            "reason",
            "session_lifetime",
            "actor_token_id",
            "sending_at",
            "ended_at",
            "end",
            "outcome",
            "status",
            "code",
            "rule",
        ],
    ),
    (
        "leases",
        &[
            "seq",
            "call",
            "actor_token_id",
            "subject",
            "actor",
            "principal",
            "reason",
            "created_at",
            "known_at",
            "live_until",
            "session_lifetime",
            "accepted_at",
            "state",
            "ended_at",
        ],
    ),
    ("settings", &["name", "seq", "since", "by", "reason"]),
];

/// A change by hand. Tables, columns and rows are numbers, modulo how many there are.
#[derive(Arbitrary, Debug)]
enum Change {
    /// Sets a value.
    Set(u8, u8, u8, NewValue),
    /// Takes the value from another row.
    Copy(u8, u8, u8, u8),
    Delete(u8, u8),
    /// Adds a row to the chain, with the number and hash of a record.
    Link(u8),
    /// Swaps the texts of two records.
    Swap(u8, u8),
    /// Computes the hashes again, as a person would who knows the format.
    Rehash,
    /// Derives the other tables again.
    Rebuild,
}

#[derive(Arbitrary, Debug)]
enum NewValue {
    Null,
    Integer(i64),
    /// Is added to the value.
    Difference(i8),
    Text(String),
    Blob(Vec<u8>),
    Word(u8),
}

const WORDS: [&str; 12] = [
    "begin",
    "sending",
    "end",
    "late",
    "follow_up",
    "note",
    "create",
    "revoke",
    "returned",
    "revoked",
    "lost",
    "paused",
];

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let Ok((base, place, byte, count)) = u.arbitrary::<(u8, u16, u8, u8)>() else {
        return;
    };
    let base = &bases()[usize::from(base & 1)];
    let scratch = Scratch::new();
    let changes: Vec<Change> = (0..count % 5).map_while(|_| u.arbitrary().ok()).collect();
    if changes.is_empty() && byte == 0 {
        anchors_only(base, &scratch, u.take_rest());
        return;
    }

    let mut image = base.image.clone();
    // The header of the file has no fact, except for the versions, which decide about reading it.
    if byte != 0 {
        let place = 100 + usize::from(place) % (image.len() - 100);
        image[place] ^= byte;
    }
    fs::write(&scratch.database, image).expect("a file");
    for change in &changes {
        let _ = change.apply(&scratch.database);
    }
    let verified = verify(&scratch.database, Some(&base.anchors));
    let exported = exported(&scratch.database);
    let facts = facts(&scratch.database);
    match (verified, facts) {
        (Ok(verified), Ok(facts)) => {
            assert_eq!(facts, base.facts, "{changes:?}: a change was not found");
            assert_eq!(verified, base.verified);
            assert_eq!(exported.as_ref(), Some(&base.exported));
        }
        (Ok(_), Err(error)) => panic!("{changes:?}: verified, but {error}"),
        (Err(_), Ok(facts)) if byte == 0 => {
            let is_other = facts != base.facts || changes.iter().any(Change::is_of_event);
            assert!(
                is_other,
                "{changes:?}: a change was found where there is none"
            );
        }
        (Err(_), _) => {}
    }
    // Without anchors the newest records may be missing.
    let _ = verify(&scratch.database, None);
});

/// Damaged anchors never make up records.
fn anchors_only(base: &Base, scratch: &Scratch, text: &[u8]) {
    fs::write(&scratch.database, &base.image).expect("a file");
    let anchors = scratch.database.with_extension("anchors");
    fs::write(&anchors, text).expect("a file");
    if let Ok(verified) = verify(&scratch.database, Some(&anchors)) {
        assert!(
            verified
                .anchored
                .is_some_and(|seq| seq <= base.verified.last)
        );
        assert_eq!(verified.records, base.verified.records);
    }
}

impl Change {
    /// Returns whether it may change a column that [`SELECTS`] leaves out.
    fn is_of_event(&self) -> bool {
        matches!(self, Self::Set(..) | Self::Copy(..))
    }

    fn apply(&self, path: &Path) -> rusqlite::Result<()> {
        let connection = Connection::open(path)?;
        let table = |number: u8| TABLES[usize::from(number) % TABLES.len()];
        let column =
            |columns: &[&'static str], number: u8| columns[usize::from(number) % columns.len()];
        match self {
            Self::Set(number, field, row, value) => {
                let (table, columns) = table(*number);
                let column = column(columns, *field);
                let value = match value {
                    NewValue::Difference(by) => {
                        let sql =
                            format!("UPDATE {table} SET {column} = {column} + ? WHERE rowid = ?");
                        connection.execute(&sql, (*by, row_id(&connection, table, *row)?))?;
                        return Ok(());
                    }
                    NewValue::Null => Value::Null,
                    NewValue::Integer(integer) => Value::Integer(*integer),
                    NewValue::Text(text) => Value::Text(text.clone()),
                    NewValue::Blob(bytes) => Value::Blob(bytes.clone()),
                    NewValue::Word(number) => {
                        Value::Text(WORDS[usize::from(*number) % WORDS.len()].to_owned())
                    }
                };
                let sql = format!("UPDATE {table} SET {column} = ? WHERE rowid = ?");
                connection.execute(&sql, (value, row_id(&connection, table, *row)?))?;
            }
            Self::Copy(number, field, from, to) => {
                let (table, columns) = table(*number);
                let column = column(columns, *field);
                let (from, to) = (
                    row_id(&connection, table, *from)?,
                    row_id(&connection, table, *to)?,
                );
                let sql = format!(
                    "UPDATE {table} SET {column} = (SELECT {column} FROM {table} WHERE rowid = ?) WHERE rowid = ?"
                );
                connection.execute(&sql, (from, to))?;
            }
            Self::Delete(number, row) => {
                let (table, _) = table(*number);
                let sql = format!("DELETE FROM {table} WHERE rowid = ?");
                connection.execute(&sql, [row_id(&connection, table, *row)?])?;
            }
            Self::Link(row) => {
                let sql = "INSERT INTO chain (instance, seq, hash)
                    SELECT chain.instance, records.seq, records.hash FROM chain, records WHERE records.seq = ?";
                connection.execute(sql, [row_id(&connection, "records", *row)?])?;
            }
            Self::Swap(one, other) => {
                let (one, other) = (
                    row_id(&connection, "records", *one)?,
                    row_id(&connection, "records", *other)?,
                );
                let sql = "UPDATE records SET text = (SELECT text FROM records AS r
                    WHERE r.seq = ?1 + ?2 - records.seq) WHERE seq IN (?1, ?2)";
                connection.execute(sql, (one, other))?;
            }
            Self::Rehash => rehash(&connection)?,
            Self::Rebuild => {
                drop(connection);
                rebuild(path);
            }
        }
        Ok(())
    }
}

fn row_id(connection: &Connection, table: &str, number: u8) -> rusqlite::Result<i64> {
    let sql = format!("SELECT count(*) FROM {table}");
    let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
    let sql = format!("SELECT rowid FROM {table} ORDER BY rowid LIMIT 1 OFFSET ?");
    connection.query_row(&sql, [i64::from(number) % count.max(1)], |row| row.get(0))
}

fn rehash(connection: &Connection) -> rusqlite::Result<()> {
    let mut last: Vec<u8> = connection.query_row("SELECT hash FROM chain", [], |row| row.get(0))?;
    let mut statement = connection.prepare("SELECT seq, text FROM records ORDER BY seq")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let (seq, text) = row;
        let hash = Sha256::new()
            .chain_update(&last)
            .chain_update(seq.to_be_bytes());
        last = hash.chain_update(text).finalize().to_vec();
        connection.execute(
            "UPDATE records SET hash = ? WHERE seq = ?",
            params![last, seq],
        )?;
    }
    Ok(())
}

fn rebuild(path: &Path) {
    if let Ok(store) = Store::open(path, options(path)) {
        let _ = io_runtime().block_on(store.rebuild());
    }
}

fn options(path: &Path) -> StoreOptions {
    let mut options = StoreOptions::new();
    options.anchors = Anchors::File(path.with_extension("own-anchors"));
    options
}

/// A database as the gateway leaves it.
struct Base {
    image: Vec<u8>,
    anchors: PathBuf,
    facts: Vec<Vec<Vec<Value>>>,
    exported: Vec<u8>,
    verified: Verified,
}

/// Returns a base with all records, and one whose oldest records were pruned.
fn bases() -> &'static [Base; 2] {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    static BASES: OnceLock<[Base; 2]> = OnceLock::new();
    let folder = FOLDER.get_or_init(workspace).path();
    BASES.get_or_init(|| [false, true].map(|is_pruned| Base::new(folder, is_pruned)))
}

impl Base {
    fn new(folder: &Path, is_pruned: bool) -> Self {
        let path = folder.join(format!("base-{is_pruned}.sqlite"));
        let anchors = path.with_extension("anchors");
        let mut options = options(&path);
        options.anchors = Anchors::File(anchors.clone());
        options.instance = Some("fuzz".to_owned());
        let store = Store::open(&path, options).expect("a store");
        let lines = ENTRIES.lines().map(serde_json::from_str::<Entry>);
        let entries = lines.collect::<Result<Vec<_>, _>>().expect("entries");
        io_runtime().block_on(async {
            for entry in entries {
                store.write(vec![entry]).await.expect("a record");
            }
            if is_pruned {
                let before = UNIX_EPOCH + Duration::from_millis(3000);
                assert!(store.prune(before).await.expect("a prune") > 0);
            }
            store.anchor().await.expect("an anchor");
        });
        // A copy without the write-ahead log.
        let copy = path.with_extension("copy");
        let connection = Connection::open(&path).expect("the database");
        let to = copy.to_str().expect("a path");
        connection.execute("VACUUM INTO ?", [to]).expect("a copy");
        Self {
            image: fs::read(&copy).expect("the copy"),
            facts: facts(&copy).expect("facts"),
            exported: exported(&copy).expect("an export"),
            verified: verify(&copy, Some(&anchors)).expect("a base that verifies"),
            anchors,
        }
    }
}

fn facts(path: &Path) -> rusqlite::Result<Vec<Vec<Vec<Value>>>> {
    let connection = Connection::open(path)?;
    let read = |sql: &&str| {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|it| row.get(it)).collect())?;
        rows.collect()
    };
    SELECTS.iter().map(read).collect()
}

fn exported(path: &Path) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    export(path, None, &mut lines).ok()?;
    Some(lines)
}

/// A new database, because the thread of an earlier one may not have ended. Its files are removed at the end.
struct Scratch {
    _folder: TempDir,
    database: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let folder = workspace();
        let database = folder.path().join("audit.sqlite");
        Self {
            _folder: folder,
            database,
        }
    }
}
