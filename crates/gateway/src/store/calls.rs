//! Reads of calls.

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Entry, Event},
};
use clerk_actor_tokens_store::{CallDetail, CallFilter, CallRow, OpenCall, Page, call_id, time};
use rusqlite::{Connection, Row};

use super::{Result, StoreError, query::Query};

/// Reads a page of calls.
pub(super) fn page(connection: &Connection, filter: &CallFilter) -> Result<Page<CallRow>> {
    let before = filter.before.as_ref();
    let before = before.map(|cursor| cursor.parse::<u64>()).transpose();
    let limit = filter.page_limit();
    let mut query = Query::new("calls");
    query.and_prefix("actor", filter.actor.as_ref());
    query.and_prefix("subject", filter.subject.as_ref());
    query.and_prefix("principal", filter.principal.as_ref());
    query.and("reason LIKE ? ESCAPE '\\'", filter.text_pattern());
    query.and("operation = ?", filter.operation.clone());
    match filter.end.as_deref() {
        Some("open") => query.push("end IS NULL"),
        end => query.and("end = ?", end),
    }
    query.and("began_at >= ?", filter.since);
    query.and("began_at < ?", filter.until);
    query.and("seq < ?", before.map_err(|_| StoreError::Cursor)?);
    // One more row shows whether there is another page.
    let rows = query.rows(connection, limit + 1, |row| {
        Ok((row.get("seq")?, read(row)?))
    })?;
    Ok(Page::new(rows, limit))
}

/// Reads a call with its entries.
pub(super) fn detail(connection: &Connection, call: CallId) -> Result<Option<CallDetail>> {
    let mut query = Query::new("calls");
    query.and("call = ?", Some(call.to_string()));
    let Some(row) = query.rows(connection, 1, read)?.pop() else {
        return Ok(None);
    };
    let sql = "SELECT text FROM records WHERE call = ? ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let texts = statement.query_map([call.to_string()], |row| row.get::<_, String>(0))?;
    let entries: Result<_> = texts
        .map(|text| Ok(serde_json::from_str(&text?)?))
        .collect();
    Ok(Some(CallDetail {
        row,
        entries: entries?,
    }))
}

/// Reads the calls without an end, the newest first.
pub(super) fn open(connection: &Connection) -> Result<Vec<OpenCall>> {
    let query = Query::new(
        "SELECT c.seq, c.sending_at, r.text FROM calls c JOIN records r ON r.seq = c.seq
         WHERE c.end IS NULL",
    );
    query.rows(connection, u32::MAX, |row| {
        let entry: Entry = serde_json::from_str(row.get_ref("text")?.as_str()?)?;
        let Event::Begin(begin) = entry.event else {
            return Err("a call is not derived from its begin".into());
        };
        Ok(OpenCall {
            call: entry.call,
            begin,
            began_at: entry.at,
            sending_at: row.get::<_, Option<u64>>("sending_at")?.map(time),
        })
    })
}

/// Reads the tokens of revokes that a killed process left, unless a later revoke took effect or was rejected. A 429
/// rejects nothing for good.
pub(super) fn owed_revokes(connection: &Connection) -> Result<Vec<ActorTokenId>> {
    let sql = "SELECT DISTINCT actor_token_id FROM calls c
        WHERE operation = 'revoke' AND end = 'interrupted' AND NOT EXISTS (
            SELECT 1 FROM calls later WHERE later.operation = 'revoke'
            AND later.actor_token_id = c.actor_token_id AND later.seq > c.seq
            AND later.outcome IN ('applied', 'rejected') AND later.status IS NOT 429
        )";
    let mut statement = connection.prepare(sql)?;
    let ids = statement.query_map([], |row| row.get::<_, String>(0))?;
    ids.map(|id| Ok(id?.parse()?)).collect()
}

fn read(row: &Row<'_>) -> Result<CallRow> {
    let id: Option<String> = row.get("actor_token_id")?;
    Ok(CallRow {
        call: call_id(row.get_ref("call")?.as_str()?)?,
        began_at: row.get("began_at")?,
        sending_at: row.get("sending_at")?,
        ended_at: row.get("ended_at")?,
        operation: row.get("operation")?,
        principal: row.get("principal")?,
        via: row.get("via")?,
        actor: row.get("actor")?,
        subject: row.get("subject")?,
        reason: row.get("reason")?,
        policy: row.get("policy")?,
        end: row.get("end")?,
        outcome: row.get("outcome")?,
        code: row.get("code")?,
        rule: row.get("rule")?,
        status: row.get("status")?,
        actor_token_id: id.map(|id| id.parse()).transpose()?,
    })
}
