//! [`verify`], which shows whether records were altered, removed or reordered.

use std::path::Path;

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_store::{
    Anchor, LATE, Link, Record, Tampered, Verified, Verifier, VerifyError,
};
use serde_json::{Value, json};
use tokio_postgres::{IsolationLevel, Row, Transaction};

use crate::{PostgresConfig, PostgresError, Result, entry, schema, session::Session};

/// How many records are read at once.
const PAGE: i64 = 1_000;

/// Verifies the records of each instance against its chain, against `anchors`, and against the derived tables.
/// `anchors` has the anchors of all instances, in any order. An instance that was killed before its first anchor has
/// none.
///
/// It only reads, also while instances run. It derives the tables again in temporary tables, for which it needs the
/// right `TEMPORARY` on the database.
///
/// # Errors
///
/// At the first record that was altered, removed or moved, and when the audit cannot be read.
pub async fn verify(
    config: PostgresConfig,
    anchors: Option<&Path>,
) -> Result<Vec<Verified>, VerifyError<PostgresError>> {
    Ok(verified(&config, anchors).await?)
}

async fn verified(config: &PostgresConfig, anchors: Option<&Path>) -> Result<Vec<Verified>> {
    let read = || {
        let anchors = anchors.map(Anchor::read_all).transpose();
        anchors.map_err(|source| PostgresError::Anchors { source })
    };
    // Read before the records, which may grow meanwhile.
    let known = read()?;
    let mut session = Session::open(config, None).await?;
    schema::check(&session.client).await?;
    let schema = schema::quoted(&config.schema);
    // Functions of the schema find these tables first. A transaction that only reads can write them.
    let temporary = format!(
        "CREATE TEMPORARY TABLE calls (LIKE {schema}.calls INCLUDING DEFAULTS INCLUDING INDEXES);
         CREATE TEMPORARY TABLE settings (LIKE {schema}.settings INCLUDING DEFAULTS INCLUDING INDEXES)"
    );
    session.client.batch_execute(&temporary).await?;
    let snapshot = session.client.build_transaction().read_only(true);
    let snapshot = snapshot.isolation_level(IsolationLevel::RepeatableRead);
    let snapshot = snapshot.start().await?;
    let mut verifier = Verifier::new(known.unwrap_or_default());
    chains(&snapshot, &mut verifier).await?;
    records(&snapshot, &mut verifier).await?;
    let verified = verifier.end(read()?.as_deref())?;
    match difference(&snapshot, &schema).await? {
        Some(row) => Err(Tampered::Derived { row }.into()),
        None => Ok(verified),
    }
}

/// Begins with the first link of each instance.
async fn chains(snapshot: &Transaction<'_>, verifier: &mut Verifier) -> Result<()> {
    let sql = "SELECT instance, first_seq, first_hash, seq, hash FROM instances ORDER BY instance";
    for row in snapshot.query(sql, &[]).await? {
        let instance: String = row.try_get(0)?;
        let altered = || Tampered::Instance {
            instance: instance.clone(),
            what: "its row was altered",
        };
        let first = link(&row, "first_seq", "first_hash").ok_or_else(altered)?;
        let head = link(&row, "seq", "hash").ok_or_else(altered)?;
        verifier.chain(instance, first, Some(head))?;
    }
    Ok(())
}

/// Verifies the records, and derives the derived tables from them again.
async fn records(snapshot: &Transaction<'_>, verifier: &mut Verifier) -> Result<()> {
    let earlier = |event| {
        format!(
            "event IN ('end', '{LATE}') AND EXISTS (
                SELECT FROM records o WHERE o.call = r.call AND o.event = '{event}' AND o.id < r.id
             )"
        )
    };
    let page = format!(
        "SELECT id, instance, seq, call, at, event, text, hash, {} AS has_begin, {} AS has_end
         FROM records r WHERE id > $1 ORDER BY id LIMIT {PAGE}",
        earlier("begin"),
        earlier("end"),
    );
    let page = snapshot.prepare(&page).await?;
    let apply = "SELECT apply(jsonb_populate_record(NULL::entry, e), (e ->> 'id')::bigint, e ->> 'instance')
        FROM jsonb_array_elements($1::text::jsonb) AS e";
    let apply = snapshot.prepare(apply).await?;
    let mut last = i64::MIN;
    loop {
        let rows = snapshot.query(&page, &[&last]).await?;
        let Some(newest) = rows.last() else {
            return Ok(());
        };
        last = newest.try_get("id")?;
        let batch: Result<Vec<_>> = rows.iter().map(|row| record(row, verifier)).collect();
        let batch = Value::from(batch?).to_string();
        snapshot.query(&apply, &[&batch]).await?;
    }
}

/// Verifies a record, and returns what the function `apply` takes.
fn record(row: &Row, verifier: &mut Verifier) -> Result<Value> {
    let number = |column| Ok::<_, BoxError>(row.try_get::<_, i64>(column)?.try_into().ok());
    let (instance, event): (&str, &str) = (row.try_get("instance")?, row.try_get("event")?);
    let record = Record {
        seq: number("seq")?,
        call: row.try_get("call")?,
        at: number("at")?,
        event,
        text: row.try_get("text")?,
        hash: row.try_get("hash")?,
        has_begin: row.try_get("has_begin")?,
        has_end: row.try_get("has_end")?,
    };
    let mut columns = entry::row(&verifier.record(instance, &record)?)?;
    columns["id"] = json!(row.try_get::<_, i64>("id")?);
    columns["instance"] = json!(instance);
    columns["event"] = json!(event);
    Ok(columns)
}

/// Returns a row that differs between the derived tables and the temporary ones, in words.
async fn difference(snapshot: &Transaction<'_>, schema: &str) -> Result<Option<String>> {
    for (table, key) in [("calls", "call"), ("settings", "name")] {
        let real = format!("{schema}.{table}");
        let temporary = format!("pg_temp.{table}");
        for (one, other) in [(&real, &temporary), (&temporary, &real)] {
            let sql =
                format!("SELECT {key} FROM (TABLE {one} EXCEPT TABLE {other}) AS rows LIMIT 1");
            if let Some(row) = snapshot.query_opt(&sql, &[]).await? {
                return Ok(Some(format!("{} in {table}", row.try_get::<_, &str>(0)?)));
            }
        }
    }
    Ok(None)
}

/// Returns a link, unless its columns cannot be those of one.
fn link(row: &Row, seq: &str, hash: &str) -> Option<Link> {
    let seq = row.try_get::<_, i64>(seq).ok()?.try_into().ok()?;
    let hash = row.try_get::<_, &[u8]>(hash).ok()?.try_into().ok()?;
    Some(Link { seq, hash })
}
