//! [`verify`], which shows whether records were altered, removed or reordered.

use std::path::Path;

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_store::{Anchor, LATE, Record, Tampered, Verified, Verifier, VerifyError};
use rusqlite::{Connection, types::FromSql};

use super::{Result, StoreError, derive, link, schema};

/// Verifies the records of a database against their chain, against `anchors`, and against the derived tables.
/// It only reads, also while a gateway runs.
///
/// # Errors
///
/// At the first record that was altered, removed or moved, and when the audit cannot be read.
pub fn verify(path: &Path, anchors: Option<&Path>) -> Result<Verified, VerifyError<StoreError>> {
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
    let mut verifier = Verifier::new(read()?.unwrap_or_default());
    let snapshot = connection.unchecked_transaction()?;
    records(&snapshot, &mut verifier)?;
    let verified = verifier.end(read()?.as_deref())?.pop();
    drop(snapshot);
    match derived(path)? {
        Some(row) => Err(Tampered::Derived { row }.into()),
        None => Ok(verified.ok_or("there is no chain")?),
    }
}

/// Verifies the chain.
fn records(connection: &Connection, verifier: &mut Verifier) -> Result<()> {
    let (instance, first) = link::first(connection)?;
    let chains: u64 = connection.query_row("SELECT count(*) FROM chain", [], |row| row.get(0))?;
    if chains != 1 {
        let what = "there is another chain";
        return Err(Tampered::Instance { instance, what }.into());
    }
    verifier.chain(instance.clone(), first, None)?;
    let earlier = |event| {
        format!(
            "event IN ('end', '{LATE}') AND EXISTS (
                SELECT 1 FROM records o WHERE o.call = r.call AND o.event = '{event}' AND o.seq < r.seq
             )"
        )
    };
    let sql = format!(
        "SELECT seq, call, at, event, text, hash, {}, {} FROM records r ORDER BY seq",
        earlier("begin"),
        earlier("end"),
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number = |index| Ok::<_, BoxError>(u64::column_result(row.get_ref(index)?).ok());
        let text = |index| Ok::<_, BoxError>(row.get_ref(index)?.as_str().unwrap_or_default());
        let record = Record {
            seq: number(0)?,
            call: text(1)?,
            at: number(2)?,
            event: text(3)?,
            text: text(4)?,
            hash: row.get_ref(5)?.as_blob().unwrap_or_default(),
            has_begin: row.get(6)?,
            has_end: row.get(7)?,
        };
        verifier.record(&instance, &record)?;
    }
    Ok(())
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
