//! Deletes old records.
//!
//! Each chain is pruned from its front. The records of a call may be in several chains, so that these rules hold:
//!
//! * A record is pruned when all records of its call are old, the call has ended, and its lease is not live.
//! * The begin of a call is pruned first, and with it the derived row. The other records then change nothing.
//! * The begin of a revoke is pruned after that of the create of its token, which would seem live without it.
//! * The newest note of a setting is pruned when it set nothing and the older ones, which may set it, are gone.
//!
//! Each rule waits for records of a lower `id`, so that chains do not wait for one another for ever.

use std::time::SystemTime;

use clerk_actor_tokens_store::{
    Anchor, Link, PAUSED, QUOTA_CLOSED, QUOTA_REOPENED, RESUMED, millis,
};
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::{PostgresConfig, PostgresError, Result, read::LEASES};

/// How many records a prune deletes at once, which takes about 50 ms. In between, calls are recorded.
const CHUNK: i64 = 500;

/// Deletes the oldest closed records of one chain up to a time, but not too many at once. Returns how many there
/// were. The chain is that of the instance, or of one that has ended. It runs on the connection that writes.
pub(crate) async fn prune(
    client: &mut Client,
    instance: &str,
    before: SystemTime,
    config: &PostgresConfig,
) -> Result<u64> {
    let before = i64::try_from(millis(before))?;
    let chains = "SELECT instance FROM instances JOIN records USING (instance)
        WHERE (instance = $1 OR ended_at IS NOT NULL) AND records.seq = first_seq + 1 AND at < $2
        ORDER BY records.id";
    for chain in client.query(chains, &[&instance, &before]).await? {
        let transaction = client.transaction().await?;
        let count = prune_chain(&transaction, chain.try_get(0)?, before, config).await?;
        transaction.commit().await?;
        if count > 0 {
            return Ok(count);
        }
    }
    Ok(0)
}

async fn prune_chain(
    transaction: &Transaction<'_>,
    instance: &str,
    before: i64,
    config: &PostgresConfig,
) -> Result<u64> {
    // Another process may prune a chain that has ended.
    let ends =
        "SELECT first_seq, seq, hash FROM instances WHERE instance = $1 FOR UPDATE SKIP LOCKED";
    let Some(ends) = transaction.query_opt(ends, &[&instance]).await? else {
        return Ok(0);
    };
    let (first, newest): (i64, i64) = (ends.try_get(0)?, ends.try_get(1)?);
    let stop = first_to_keep(transaction, instance, first, before, config).await?;
    let last = stop.map_or(newest.min(first + CHUNK), |stop| stop - 1);
    if last <= first {
        return Ok(0);
    }
    // Written first: an anchor without a prune is harmless.
    let head = Link {
        seq: newest.try_into()?,
        hash: ends.try_get::<_, &[u8]>(2)?.try_into()?,
    };
    let anchor = Anchor::new(instance.to_owned(), head, Some(last.try_into()?));
    let written = anchor.write(&config.anchors);
    written.map_err(|source| PostgresError::Anchors { source })?;
    for sql in [
        "UPDATE instances i SET first_seq = r.seq, first_hash = r.hash FROM records r
            WHERE i.instance = $1 AND r.instance = $1 AND r.seq = $2",
        "DELETE FROM calls USING records r WHERE calls.id = r.id AND r.instance = $1 AND r.seq <= $2",
        "DELETE FROM settings USING records r WHERE settings.id = r.id AND r.instance = $1 AND r.seq <= $2",
        "DELETE FROM records WHERE instance = $1 AND seq <= $2",
    ] {
        transaction.execute(sql, &[&instance, &last]).await?;
    }
    Ok((last - first).try_into()?)
}

/// Returns the number of the oldest of the next records of a chain that a prune keeps, if there is one.
async fn first_to_keep(
    client: &impl GenericClient,
    instance: &str,
    first: i64,
    before: i64,
    config: &PostgresConfig,
) -> Result<Option<i64>> {
    let sql = format!(
        "SELECT r.seq FROM records r LEFT JOIN calls c ON c.call = r.call
         WHERE r.instance = $3 AND r.seq > $4 AND r.seq <= $4 + {CHUNK} AND (
            EXISTS (SELECT FROM records o WHERE o.call = r.call AND o.at >= $5)
            OR c.id IS NOT NULL AND (c.ended_at IS NULL OR c.instance <> $3)
            OR EXISTS (
                SELECT FROM ({LEASES}) AS l WHERE l.call = r.call
                    AND state_now IN ('returned', 'lost', 'accepted') AND until IS NOT NULL
            )
            OR c.operation = 'revoke' AND EXISTS (
                SELECT FROM calls t WHERE t.actor_token_id = c.actor_token_id AND t.operation = 'create'
                    AND t.instance <> $3 AND t.id < c.id
            )
            OR EXISTS (
                SELECT FROM settings s WHERE s.id = r.id AND (s.since IS NOT NULL OR EXISTS (
                    SELECT FROM records o WHERE o.event = 'note' AND o.id < r.id AND o.instance <> $3
                        AND o.text ~ '\"note\":\"({PAUSED}|{RESUMED}|{QUOTA_CLOSED}|{QUOTA_REOPENED})\"'
                ))
            )
         )
         ORDER BY r.seq LIMIT 1"
    );
    let session = i64::try_from(config.session_lifetime.as_secs())?;
    let now = i64::try_from(millis(SystemTime::now()))?;
    let row = client
        .query_opt(&sql, &[&session, &now, &instance, &first, &before])
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
