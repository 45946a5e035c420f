//! The batch of entries as the function `append` takes it: JSON objects with the fields of its type `entry`.

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::audit::{Begin, End, Entry, Event, Note};
use clerk_actor_tokens_store::{
    BeginColumns, EndColumns, LeaseChange, LeaseState, Link, POLICY_LOADED, event_word, millis,
    setting_of,
};
use serde_json::{Value, json};

use crate::Result;

/// The name of the setting that is the version of the policy.
pub(crate) const POLICY: &str = "policy";

/// Returns entries as JSON.
pub(crate) fn batch(entries: &[Entry]) -> Result<String> {
    let rows: Result<Vec<_>> = entries.iter().map(row).collect();
    Ok(Value::from(rows?).to_string())
}

pub(crate) fn row(entry: &Entry) -> Result<Value> {
    let mut row = json!({
        "call": entry.call,
        "at": millis(entry.at),
        "event": event_word(&entry.event),
        "text": serde_json::to_string(entry)?,
        "late": entry.late,
    });
    let more = match &entry.event {
        Event::Begin(begin) => begun(begin),
        Event::End(end) => ended(entry, end),
        Event::FollowUp(_) => change(entry),
        Event::Note(note) => noted(note),
        _ => json!({}),
    };
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
        row.values_mut().for_each(without_nul);
    }
    Ok(row)
}

fn begun(begin: &Begin) -> Value {
    let columns = BeginColumns::of(begin);
    json!({
        "operation": columns.operation,
        "principal": columns.principal,
        "via": columns.via,
        "policy": columns.policy,
        "actor": columns.actor,
        "subject": columns.subject,
        "reason": columns.reason,
        "session_lifetime": columns.session_lifetime.map(|it| i64::try_from(it).unwrap_or(i64::MAX)),
        "actor_token_id": columns.actor_token_id,
    })
}

fn ended(entry: &Entry, end: &End) -> Value {
    let columns = EndColumns::of(end);
    let mut row = change(entry);
    row["end"] = columns.end.into();
    row["outcome"] = columns.outcome.as_str().into();
    row["status"] = columns.status.into();
    row["code"] = columns.code.into();
    row["rule"] = columns.rule.into();
    row["revoked"] = LeaseChange::of_revoke(entry).map(LeaseState::as_str).into();
    row
}

fn change(entry: &Entry) -> Value {
    let change = LeaseChange::of(entry);
    json!({
        "has_token": change.has_token,
        "token": change.actor_token_id.as_ref().map(ActorTokenId::as_str),
        "live_until": change.live_until.map(millis),
        "state": change.state.map(LeaseState::as_str),
    })
}

fn noted(note: &Note) -> Value {
    let policy = || (note.note == POLICY_LOADED).then_some((POLICY, true));
    let Some((name, is_set)) = setting_of(note).or_else(policy) else {
        return json!({});
    };
    json!({
        "setting": name,
        "is_set": is_set,
        "principal": note.principal.as_ref().map(|principal| &principal.id),
        "reason": note.detail,
    })
}

/// Replaces U+0000, which PostgreSQL cannot store: an entry that can never be written would end the audit. The text
/// has it in an escape.
fn without_nul(value: &mut Value) {
    if let Value::String(text) = value
        && text.contains('\0')
    {
        *text = text.replace('\0', "\u{fffd}");
    }
}

/// Reads a link from its columns.
pub(crate) fn link(seq: i64, hash: &[u8]) -> Result<Link> {
    let (seq, hash) = (seq.try_into()?, hash.try_into()?);
    Ok(Link { seq, hash })
}
