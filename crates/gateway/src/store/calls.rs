//! The rows of calls, and the calls that a process left open.

use std::time::SystemTime;

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Begin, Entry, Event},
};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Result, StoreError, derive::call_id, query::Query, time};

/// The largest number of rows of a page.
const MAX_LIMIT: u32 = 200;

/// Which calls to read. The default is all of them.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct CallFilter {
    /// A prefix of the actor's `sub`.
    pub actor: Option<String>,
    /// A prefix of the id of the user to sign in as.
    pub subject: Option<String>,
    /// A prefix of the principal's id.
    pub principal: Option<String>,
    /// A part of the reason, in upper or lower case.
    pub text: Option<String>,
    /// The operation: `create` or `revoke`.
    pub operation: Option<String>,
    /// The word of the end, such as `returned`, or `open`.
    pub end: Option<String>,
    /// The earliest begin, in milliseconds since 1970.
    pub since: Option<u64>,
    /// The time before which calls began, in milliseconds since 1970.
    pub until: Option<u64>,
    /// The page that follows: [`next`](Page::next) of the one before.
    pub before: Option<String>,
    /// How many calls a page has. The default, and the largest value, is 200.
    pub limit: Option<u32>,
}

/// A page of rows, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The value of [`before`](CallFilter::before) for the next page, if there is one.
    pub next: Option<String>,
}

/// A call. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct CallRow {
    /// The call.
    #[schema(value_type = String)]
    pub call: CallId,
    /// When it began.
    pub began_at: u64,
    /// When it was about to be sent. Without this time nothing was sent.
    pub sending_at: Option<u64>,
    /// When it ended; `None` while it is open.
    pub ended_at: Option<u64>,
    /// The operation: `create` or `revoke`.
    pub operation: String,
    /// The principal who asked.
    pub principal: Option<String>,
    /// How the principal was authenticated.
    pub via: Option<String>,
    /// The actor's `sub`.
    pub actor: Option<String>,
    /// The user to sign in as.
    pub subject: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The version of the policy.
    pub policy: Option<String>,
    /// The word of the end, such as `returned`.
    pub end: Option<String>,
    /// Whether it took effect, such as `not_sent`.
    pub outcome: Option<String>,
    /// The error code.
    pub code: Option<String>,
    /// The rule or limit that refused it.
    pub rule: Option<String>,
    /// The status of the last response, or of the refusal.
    pub status: Option<u16>,
    /// The token that was minted, or was to be revoked.
    #[schema(value_type = Option<String>)]
    pub actor_token_id: Option<ActorTokenId>,
}

/// A call with its entries.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct CallDetail {
    /// The call.
    #[serde(flatten)]
    pub row: CallRow,
    /// Its entries, in order.
    #[schema(value_type = Vec<Object>)]
    pub entries: Vec<Entry>,
}

/// A call that has begun and has no end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenCall {
    /// The call.
    pub call: CallId,
    /// Its beginning.
    pub begin: Begin,
    /// When it began.
    pub began_at: SystemTime,
    /// When it was about to be sent. Without this time nothing was sent.
    pub sending_at: Option<SystemTime>,
}

/// Reads a page of calls.
pub(super) fn page(connection: &Connection, filter: &CallFilter) -> Result<Page<CallRow>> {
    let before = filter.before.as_ref();
    let before = before.map(|cursor| cursor.parse::<u64>()).transpose();
    let limit = filter.limit.unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
    let mut query = Query::new("calls");
    query.and_prefix("actor", filter.actor.as_ref());
    query.and_prefix("subject", filter.subject.as_ref());
    query.and_prefix("principal", filter.principal.as_ref());
    query.and_contains("reason", filter.text.as_ref());
    query.and("operation = ?", filter.operation.clone());
    match filter.end.as_deref() {
        Some("open") => query.push("end IS NULL"),
        end => query.and("end = ?", end),
    }
    query.and("began_at >= ?", filter.since);
    query.and("began_at < ?", filter.until);
    query.and("seq < ?", before.map_err(|_| StoreError::Cursor)?);
    // One more row shows whether there is another page.
    let mut rows = query.rows(connection, limit + 1, |row| {
        Ok((row.get("seq")?, read(row)?))
    })?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last: Option<&(u64, _)> = rows.last().filter(|_| has_more);
    Ok(Page {
        next: last.map(|(seq, _)| seq.to_string()),
        items: rows.into_iter().map(|(_, row)| row).collect(),
    })
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
