//! Reads of the hash chain.

use clerk_actor_tokens_store::Link;
use rusqlite::{Connection, OptionalExtension};

/// Returns the instance, and the link that its first record follows.
pub(super) fn first(connection: &Connection) -> rusqlite::Result<(String, Link)> {
    connection.query_row("SELECT instance, seq, hash FROM chain", [], |row| {
        let (seq, hash) = (row.get(1)?, row.get(2)?);
        Ok((row.get(0)?, Link { seq, hash }))
    })
}

/// Returns the link of the newest record.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<Link> {
    let seq: Option<u64> =
        connection.query_row("SELECT max(seq) FROM records", [], |row| row.get(0))?;
    let head = seq.map(|seq| at(connection, seq)).transpose()?;
    head.flatten().map_or_else(|| Ok(first(connection)?.1), Ok)
}

/// Returns the link with a number, if it was not pruned.
pub(super) fn at(connection: &Connection, seq: u64) -> rusqlite::Result<Option<Link>> {
    let sql =
        "SELECT hash FROM records WHERE seq = ?1 UNION ALL SELECT hash FROM chain WHERE seq = ?1";
    let hash = connection.query_row(sql, [seq], |row| row.get(0));
    Ok(hash.optional()?.map(|hash| Link { seq, hash }))
}
