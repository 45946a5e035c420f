//! How the tables that pages read are derived from records, one after another.

use std::time::SystemTime;

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::audit::{Begin, End, Entry, Event, Note};
use clerk_actor_tokens_store::{
    BeginColumns, EndColumns, LATE, LeaseChange, LeaseFacts, millis, setting_of,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::Result;

/// Derives all tables from all records.
pub(super) fn all(connection: &Connection) -> Result<()> {
    let mut records = connection.prepare("SELECT seq, event, text FROM records ORDER BY seq")?;
    let mut rows = records.query([])?;
    while let Some(row) = rows.next()? {
        let entry: Entry = serde_json::from_str(row.get_ref(2)?.as_str()?)?;
        let is_late = row.get_ref(1)?.as_str()? == LATE;
        apply(connection, row.get(0)?, is_late, &entry)?;
    }
    Ok(())
}

/// Brings the tables up to date with a record.
pub(super) fn apply(connection: &Connection, seq: u64, is_late: bool, entry: &Entry) -> Result<()> {
    let call = entry.call.to_string();
    match &entry.event {
        Event::Begin(begin) => begun(connection, seq, &call, entry.at, begin)?,
        Event::Sending => {
            let mut statement = connection.prepare_cached(
                "UPDATE calls SET sending_at = coalesce(sending_at, ?) WHERE call = ?",
            )?;
            statement.execute(params![millis(entry.at), call])?;
        }
        Event::End(end) => {
            if !is_late {
                ended(connection, &call, entry.at, end)?;
            }
            lease(connection, seq, &call)?;
            revoked(connection, seq, &call)?;
        }
        Event::FollowUp(_) => lease(connection, seq, &call)?,
        Event::Note(note) => noted(connection, seq, entry.at, note)?,
        _ => {}
    }
    Ok(())
}

fn begun(
    connection: &Connection,
    seq: u64,
    call: &str,
    at: SystemTime,
    begin: &Begin,
) -> rusqlite::Result<()> {
    let columns = BeginColumns::of(begin);
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO calls (seq, call, began_at, operation, principal, via, policy, actor,
            subject, reason, session_lifetime, actor_token_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        seq,
        call,
        millis(at),
        columns.operation,
        columns.principal,
        columns.via,
        columns.policy,
        columns.actor,
        columns.subject,
        columns.reason,
        columns.session_lifetime,
        columns.actor_token_id,
    ])?;
    Ok(())
}

fn ended(connection: &Connection, call: &str, at: SystemTime, end: &End) -> rusqlite::Result<()> {
    let columns = EndColumns::of(end);
    let mut statement = connection.prepare_cached(
        "UPDATE calls SET ended_at = ?, end = ?, outcome = ?, status = ?, code = ?, rule = ?
         WHERE call = ?",
    )?;
    statement.execute(params![
        millis(at),
        columns.end,
        columns.outcome.as_str(),
        columns.status,
        columns.code,
        columns.rule,
        call,
    ])?;
    Ok(())
}

fn noted(connection: &Connection, seq: u64, at: SystemTime, note: &Note) -> rusqlite::Result<()> {
    let Some((name, is_set)) = setting_of(note) else {
        return Ok(());
    };
    if !is_set {
        connection.execute("DELETE FROM settings WHERE name = ?", [name])?;
        return Ok(());
    }
    let by = note.principal.as_ref().map(|principal| &principal.id);
    connection.execute(
        "INSERT OR REPLACE INTO settings (name, seq, since, by, reason) VALUES (?, ?, ?, ?, ?)",
        params![name, seq, millis(at), by, note.detail],
    )?;
    Ok(())
}

/// Derives the leases again that a revoke was about.
fn revoked(connection: &Connection, seq: u64, revoke: &str) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT l.call FROM calls c JOIN leases l ON l.actor_token_id = c.actor_token_id
         WHERE c.call = ? AND c.operation = 'revoke'",
    )?;
    let calls = statement.query_map([revoke], |row| row.get(0))?;
    for call in calls.collect::<rusqlite::Result<Vec<String>>>()? {
        lease(connection, seq, &call)?;
    }
    Ok(())
}

/// Derives the token of a create and its lease from the records up to a number.
fn lease(connection: &Connection, seq: u64, call: &str) -> Result<()> {
    let is_create: Option<bool> = connection
        .prepare_cached("SELECT operation = 'create' FROM calls WHERE call = ?")?
        .query_row([call], |row| row.get(0))
        .optional()?;
    if is_create != Some(true) {
        return Ok(());
    }
    let own = "SELECT text FROM records WHERE call = ? AND seq <= ? AND event IN ('end', 'late', 'follow_up')
        ORDER BY seq";
    let own = entries(connection, own, call, seq)?;
    let mut named = own
        .iter()
        .map(|entry| LeaseChange::of(entry).actor_token_id);
    let facts = LeaseFacts::of(&own);
    let token = match &facts {
        Some(facts) => facts.actor_token_id.clone(),
        None => named.find_map(|id| id),
    };
    connection
        .prepare_cached("UPDATE calls SET actor_token_id = ? WHERE call = ?")?
        .execute(params![token.as_ref().map(ActorTokenId::as_str), call])?;
    let Some(mut facts) = facts else {
        return Ok(());
    };
    if let Some(id) = &facts.actor_token_id {
        let revokes = "SELECT r.text FROM calls c JOIN records r ON r.call = c.call
            WHERE c.operation = 'revoke' AND c.actor_token_id = ? AND r.seq <= ?
            AND r.event IN ('end', 'late') ORDER BY r.seq";
        for revoke in entries(connection, revokes, id.as_str(), seq)? {
            facts.revoke(&revoke);
        }
    }
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO leases (seq, call, actor_token_id, subject, actor, principal, reason,
            created_at, known_at, live_until, session_lifetime, accepted_at, state, ended_at)
         SELECT seq, call, ?2, subject, actor, principal, reason,
            coalesce(sending_at, began_at), ?3, ?4, session_lifetime, ?5, ?6, ?7
         FROM calls WHERE call = ?1",
    )?;
    statement.execute(params![
        call,
        facts.actor_token_id.as_ref().map(ActorTokenId::as_str),
        millis(facts.known_at),
        facts.live_until.map(millis),
        facts.accepted_at.map(millis),
        facts.state.as_str(),
        facts.ended_at.map(millis),
    ])?;
    Ok(())
}

fn entries(connection: &Connection, sql: &str, key: &str, seq: u64) -> Result<Vec<Entry>> {
    let mut statement = connection.prepare_cached(sql)?;
    let texts = statement.query_map(params![key, seq], |row| row.get::<_, String>(0))?;
    // A record that was altered by hand must not end the audit: `verify` names it.
    let entries = texts.flatten().map(|text| serde_json::from_str(&text));
    Ok(entries.filter_map(Result::ok).collect())
}
