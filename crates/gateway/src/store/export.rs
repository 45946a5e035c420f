//! [`export`], the records as JSON lines.

use std::{io::Write, path::Path, time::SystemTime};

use super::{Result, StoreError, millis, schema};

/// Writes the records of a database, of those since `since`, as JSON lines: an
/// [`Entry`](clerk_actor_tokens_policy::audit::Entry) each, in order. Returns how many there were. It only reads, also while a gateway runs.
///
/// # Errors
///
/// When the database cannot be read, or `to` cannot be written.
pub fn export(path: &Path, since: Option<SystemTime>, to: impl Write) -> Result<u64, StoreError> {
    Ok(write(path, since, to)?)
}

fn write(path: &Path, since: Option<SystemTime>, mut to: impl Write) -> Result<u64> {
    let connection = schema::open_read_only(path)?;
    let mut records = connection.prepare("SELECT text FROM records WHERE at >= ? ORDER BY seq")?;
    let mut rows = records.query([since.map_or(0, millis)])?;
    let mut count = 0;
    let failed = |source| StoreError::Export { source };
    while let Some(row) = rows.next()? {
        writeln!(to, "{}", row.get_ref(0)?.as_str()?).map_err(failed)?;
        count += 1;
    }
    to.flush().map_err(failed)?;
    Ok(count)
}
