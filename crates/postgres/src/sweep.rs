//! The sweep: inherits an instance that has stopped without notice.

use std::time::Duration;

use clerk_actor_tokens_policy::audit::{Entry, Event};
use clerk_actor_tokens_store::{Link, OpenCall, interrupted, time};
use tokio_postgres::{Client, Row, Statement, types::ToSql};

use crate::{Result, entry};

/// How many calls a transaction ends at most. In between, calls of this instance are recorded.
const CHUNK: i64 = 256;

/// The result of a step of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    /// No instance has stopped without notice.
    Nothing,
    /// So many calls of an instance were ended, and there are more of them.
    Part(usize),
    /// So many calls of an instance were ended. That was all, and it is inherited.
    All(usize),
}

/// An instance that has stopped: its beat is stale by the clock of the server, and its connection is gone, because
/// its lock is free.
///
/// The subquery is materialized, so that no lock is tried of an instance that beats.
const STOPPED: &str = "
    WITH stale AS MATERIALIZED (
        SELECT instance, lock FROM instances
        WHERE ended_at IS NULL AND instance <> $1 AND beat_at < now() - make_interval(secs => $2)
    )
    SELECT i.instance FROM instances i JOIN stale USING (instance)
    WHERE pg_try_advisory_xact_lock(stale.lock) AND i.ended_at IS NULL
    LIMIT 1 FOR UPDATE OF i SKIP LOCKED";

/// The open calls of an instance, and of those that it inherited. It is a statement of its own, because it needs a
/// newer snapshot: calls may have begun between that of the first statement and its lock.
const OPEN: &str = "
    SELECT c.sending_at, r.text FROM calls c JOIN records r ON r.id = c.id
    WHERE c.ended_at IS NULL AND c.instance IN (SELECT instance FROM instances WHERE $1 IN (instance, heir))
    ORDER BY c.id LIMIT $2";

const INHERIT: &str = "
    UPDATE instances SET ended_at = coalesce(ended_at, now()), heir = $1 WHERE $2 IN (instance, heir)";

/// Ends open calls of one instance that has stopped, in the chain of `me`, and inherits it once none is left. Returns
/// the new head of the chain.
pub(crate) async fn one(
    client: &mut Client,
    append: &Statement,
    me: &str,
    stale: Duration,
    call_timeout: Duration,
) -> Result<(Swept, Option<Link>)> {
    let transaction = client.transaction().await?;
    let parameters: [&(dyn ToSql + Sync); 2] = [&me, &stale.as_secs_f64()];
    let Some(row) = transaction.query_opt(STOPPED, &parameters).await? else {
        return Ok((Swept::Nothing, None));
    };
    let stopped: String = row.try_get(0)?;
    let parameters: [&(dyn ToSql + Sync); 2] = [&stopped, &CHUNK];
    let rows = transaction.query(OPEN, &parameters).await?;
    let ends: Result<Vec<_>> = rows
        .iter()
        .map(|row| Ok(interrupted(&open_call(row)?, call_timeout)))
        .collect();
    let batch = entry::batch(&ends?)?;
    let parameters: [&(dyn ToSql + Sync); 2] = [&me, &batch];
    // It also refuses if this instance has ended.
    let row = transaction.query_one(append, &parameters).await?;
    let head = entry::link(row.try_get(0)?, row.try_get(1)?)?;
    let is_all = i64::try_from(rows.len())? < CHUNK;
    if is_all {
        transaction.execute(INHERIT, &[&me, &stopped]).await?;
    }
    transaction.commit().await?;
    let swept = match is_all {
        true => Swept::All(rows.len()),
        false => Swept::Part(rows.len()),
    };
    Ok((swept, Some(head)))
}

fn open_call(row: &Row) -> Result<OpenCall> {
    let sending_at: Option<i64> = row.try_get(0)?;
    let entry: Entry = serde_json::from_str(row.try_get(1)?)?;
    let Event::Begin(begin) = entry.event else {
        return Err("a call is not derived from its begin".into());
    };
    let sending_at = sending_at.map(u64::try_from).transpose()?.map(time);
    Ok(OpenCall {
        call: entry.call,
        begin,
        began_at: entry.at,
        sending_at,
    })
}
