//! Reads of calls.

use clerk_actor_tokens_policy::{CallId, audit::Entry};
use clerk_actor_tokens_store::{CallDetail, CallFilter, CallRow, Page, call_id};
use futures_util::try_join;
use tokio_postgres::{Client, Row};

use super::query::{Query, number, rows};
use crate::{PostgresError, Result};

const CALLS: &str = "
    SELECT id, call, began_at, sending_at, ended_at, operation, principal, via, actor, subject, reason, policy,
        \"end\", outcome, code, rule, status, actor_token_id
    FROM calls";

/// Reads a page of calls.
pub(crate) async fn calls(client: &Client, filter: &CallFilter) -> Result<Page<CallRow>> {
    let before = filter.before.as_ref();
    let before = before.map(|cursor| cursor.parse::<u64>()).transpose();
    let limit = filter.page_limit();
    let mut query = Query::new(CALLS, Vec::new());
    query.and_prefix("actor", filter.actor.as_ref());
    query.and_prefix("subject", filter.subject.as_ref());
    query.and_prefix("principal", filter.principal.as_ref());
    query.and("reason ILIKE", filter.text_pattern());
    query.and("operation =", filter.operation.clone());
    match filter.end.as_deref() {
        Some("open") => query.push("ended_at IS NULL"),
        end => query.and("\"end\" =", end),
    }
    query.and("began_at >=", filter.since);
    query.and("began_at <", filter.until);
    query.and("id <", before.map_err(|_| PostgresError::Cursor)?);
    // One more row shows whether there is another page.
    let found = query.rows(client, limit + 1, |row| {
        Ok((number(row, "id")?.unwrap_or_default(), read(row)?))
    });
    Ok(Page::new(found.await?, limit))
}

/// Reads a call with its entries.
pub(crate) async fn call(client: &Client, call: CallId) -> Result<Option<CallDetail>> {
    let key = [call.to_string().into()];
    let row = format!("{CALLS} WHERE call = $1");
    let (mut row, entries) = try_join!(
        rows(client, &row, &key, read),
        rows(
            client,
            "SELECT text FROM records WHERE call = $1 ORDER BY id",
            &key,
            entry
        ),
    )?;
    Ok(row.pop().map(|row| CallDetail { row, entries }))
}

fn entry(row: &Row) -> Result<Entry> {
    Ok(serde_json::from_str(row.try_get("text")?)?)
}

fn read(row: &Row) -> Result<CallRow> {
    let id: Option<&str> = row.try_get("actor_token_id")?;
    let status: Option<i32> = row.try_get("status")?;
    Ok(CallRow {
        call: call_id(row.try_get("call")?)?,
        began_at: number(row, "began_at")?.unwrap_or_default(),
        sending_at: number(row, "sending_at")?,
        ended_at: number(row, "ended_at")?,
        operation: row.try_get("operation")?,
        principal: row.try_get("principal")?,
        via: row.try_get("via")?,
        actor: row.try_get("actor")?,
        subject: row.try_get("subject")?,
        reason: row.try_get("reason")?,
        policy: row.try_get("policy")?,
        end: row.try_get("end")?,
        outcome: row.try_get("outcome")?,
        code: row.try_get("code")?,
        rule: row.try_get("rule")?,
        status: status.map(u16::try_from).transpose()?,
        actor_token_id: id.map(str::parse).transpose()?,
    })
}
