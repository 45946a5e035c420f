//! [`export`], the records as JSON lines.

use std::{io::Write, pin::pin, time::SystemTime};

use clerk_actor_tokens_store::millis;
use futures_util::TryStreamExt;

use crate::{PostgresConfig, PostgresError, Result, schema, session::Session};

/// Writes the records of all instances, of those since `since`, as JSON lines: an
/// [`Entry`](clerk_actor_tokens_policy::audit::Entry) each, those of an instance in order. Returns how many there
/// were. It only reads, also while instances run.
///
/// # Errors
///
/// When the database cannot be read, or `to` cannot be written.
pub async fn export(
    config: PostgresConfig,
    since: Option<SystemTime>,
    to: impl Write,
) -> Result<u64, PostgresError> {
    Ok(write(&config, since, to).await?)
}

async fn write(
    config: &PostgresConfig,
    since: Option<SystemTime>,
    mut to: impl Write,
) -> Result<u64> {
    let Session { client, .. } = &Session::open(config, None).await?;
    schema::check(client).await?;
    let since = i64::try_from(since.map_or(0, millis))?;
    let sql = "SELECT text FROM records WHERE at >= $1 ORDER BY id";
    let mut rows = pin!(client.query_raw(sql, [since]).await?);
    let failed = |source| PostgresError::Export { source };
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        writeln!(to, "{}", row.try_get::<_, &str>(0)?).map_err(failed)?;
        count += 1;
    }
    to.flush().map_err(failed)?;
    Ok(count)
}
