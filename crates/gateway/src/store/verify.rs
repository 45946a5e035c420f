//! [`verify`], which shows whether records were altered, removed or reordered.

use std::path::Path;

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::audit::{Entry, Event};
use clerk_actor_tokens_store::{Anchor, LATE, Link, event_word, millis};
use rusqlite::Connection;

use super::{Result, StoreError, derive, link, schema};

/// The result of [`verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The instance.
    pub instance: String,
    /// How many records there are.
    pub records: u64,
    /// The number of the last record that was pruned; 0 if none was.
    pub pruned: u64,
    /// The number of the newest record.
    pub last: u64,
    /// The number of the newest record that an anchor covers. Records behind it could be removed without a trace.
    pub anchored: Option<u64>,
}

/// Why an audit could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Tampered {
    /// The name of the instance was altered, or another chain was added.
    #[error("the chain does not begin with the instance `{instance}`")]
    Instance {
        /// Its present name.
        instance: String,
    },
    /// A record is missing.
    #[error("record {seq} was removed")]
    Removed {
        /// Its number.
        seq: u64,
    },
    /// A record was altered or moved, or an earlier one was removed.
    #[error("record {seq} of call {call}: {what}")]
    Record {
        /// Its number.
        seq: u64,
        /// Its call.
        call: String,
        /// The difference.
        what: &'static str,
    },
    /// A record that an anchor names is missing or has another hash.
    #[error("the anchor of record {seq}: {what}")]
    Anchor {
        /// The record's number.
        seq: u64,
        /// The difference.
        what: &'static str,
    },
    /// A row of a derived table does not follow from the records.
    #[error("the row {row} does not follow from the records")]
    Derived {
        /// The row and its table.
        row: String,
    },
    /// The database or the anchors cannot be read.
    #[error("could not read the audit")]
    Unreadable(#[from] StoreError),
}

impl From<BoxError> for Tampered {
    fn from(error: BoxError) -> Self {
        error
            .downcast()
            .map_or_else(|error| Self::Unreadable(error.into()), |error| *error)
    }
}

/// Verifies the records of a database against their chain, against `anchors`, and against the derived tables.
/// It only reads, also while a gateway runs.
///
/// # Errors
///
/// At the first record that was altered, removed or moved, and when the audit cannot be read.
pub fn verify(path: &Path, anchors: Option<&Path>) -> Result<Verified, Tampered> {
    Ok(verified(path, anchors)?)
}

fn verified(path: &Path, anchors: Option<&Path>) -> Result<Verified> {
    let connection = schema::open_read_only(path)?;
    let (instance, _) = link::first(&connection)?;
    let read = || {
        let anchors = anchors
            .map(|path| Anchor::read(path, &instance))
            .transpose();
        anchors.map_err(|source| StoreError::Anchors { source })
    };
    // Read before the records, which may grow meanwhile.
    let anchors = read()?;
    let snapshot = connection.unchecked_transaction()?;
    let mut verified = records(&snapshot)?;
    if let Some(anchors) = anchors {
        verified.anchored = Some(against(&snapshot, &verified, &anchors)?);
        // A prune writes its anchor first.
        let is_pruned = |anchor: &Anchor| anchor.pruned == Some(verified.pruned);
        if verified.pruned > 0 && !read()?.unwrap_or_default().iter().any(is_pruned) {
            let (seq, what) = (verified.pruned, "no anchor says that it was pruned");
            return Err(Tampered::Anchor { seq, what }.into());
        }
    }
    drop(snapshot);
    match derived(path)? {
        Some(row) => Err(Tampered::Derived { row }.into()),
        None => Ok(verified),
    }
}

/// Verifies the chain.
fn records(connection: &Connection) -> Result<Verified> {
    let (instance, first) = link::first(connection)?;
    let chains: u64 = connection.query_row("SELECT count(*) FROM chain", [], |row| row.get(0))?;
    if chains != 1 || first.seq == 0 && first != Link::root(&instance) {
        return Err(Tampered::Instance { instance }.into());
    }
    let mut link = first;
    let mut statement =
        connection.prepare("SELECT seq, call, at, event, text, hash FROM records ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq = link.seq + 1;
        if row.get_ref(0)?.as_i64().ok() != i64::try_from(seq).ok() {
            return Err(Tampered::Removed { seq }.into());
        }
        // A value of another type differs as well.
        let column = |index| Ok::<_, BoxError>(row.get_ref(index)?.as_str().unwrap_or_default());
        let (call, text) = (column(1)?.to_owned(), column(4)?);
        link = link.next(text);
        if row.get(5).ok() != Some(link.hash) {
            let what = "its text, or an earlier one, was altered, removed or moved";
            return Err(Tampered::Record { seq, call, what }.into());
        }
        let Ok(entry) = serde_json::from_str::<Entry>(text) else {
            let what = "it is no entry";
            return Err(Tampered::Record { seq, call, what }.into());
        };
        let is_right = call == entry.call.to_string()
            && row.get(2).ok() == Some(millis(entry.at))
            && is_event(connection, column(3)?, &entry, seq, first.seq > 0)?;
        if !is_right {
            let (call, what) = (entry.call.to_string(), "a column differs from its text");
            return Err(Tampered::Record { seq, call, what }.into());
        }
    }
    Ok(Verified {
        instance,
        records: link.seq - first.seq,
        pruned: first.seq,
        last: link.seq,
        anchored: None,
    })
}

/// Returns whether the event of a record is that of its text, or `late` for a second end.
fn is_event(
    connection: &Connection,
    event: &str,
    entry: &Entry,
    seq: u64,
    is_pruned: bool,
) -> Result<bool> {
    if !matches!(entry.event, Event::End(_)) {
        return Ok(event == event_word(&entry.event));
    }
    let sql = "SELECT 1 FROM records WHERE call = ? AND event = ? AND seq < ?";
    let mut earlier = connection.prepare_cached(sql)?;
    let mut has = |event| earlier.exists((entry.call.to_string(), event, seq));
    let has_end = has("end")?;
    Ok(match event {
        // A prune that removed the first end has removed the begin before it.
        LATE => has_end || is_pruned && !has("begin")?,
        event => event == event_word(&entry.event) && !has_end,
    })
}

/// Verifies records against anchors. Returns the newest record that one covers.
fn against(connection: &Connection, verified: &Verified, anchors: &[Anchor]) -> Result<u64> {
    for anchor in anchors {
        let (seq, link) = (anchor.seq, link::at(connection, anchor.seq)?);
        let what = match link {
            Some(link) if link.hash == anchor.hash => continue,
            Some(_) => "its record has another hash, so the chain was written again",
            None if seq <= verified.pruned => continue,
            None => "its record is not there, so the newest records were removed",
        };
        return Err(Tampered::Anchor { seq, what }.into());
    }
    let newest = anchors.iter().map(|anchor| anchor.seq).max();
    let (seq, what) = (verified.last, "there is no anchor of this instance");
    match newest {
        None if verified.last > 0 => Err(Tampered::Anchor { seq, what }.into()),
        newest => Ok(newest.unwrap_or_default()),
    }
}

/// Derives the derived tables again, in a temporary database. Returns a row that differs.
fn derived(path: &Path) -> Result<Option<String>> {
    let connection = Connection::open("")?;
    connection.execute("ATTACH ? AS audit", [schema::read_only_uri(path)?])?;
    // One transaction, so that all tables are of the same time.
    let snapshot = connection.unchecked_transaction()?;
    snapshot.execute_batch(schema::DERIVED)?;
    derive::all(&snapshot)?;
    Ok(schema::difference(&snapshot, "main", "audit")?)
}
