//! How the tables that pages read are derived from records, one after another.

use std::time::SystemTime;

use clerk_actor_tokens::{ActorTokenId, ErrorKind, Outcome, client::SettleEnd};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Asked, Begin, End, Entry, Event, FollowUp, Note},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{LeaseState, Result, millis};

/// The event of a second end.
pub(super) const LATE: &str = "late";

/// The notes that change a setting: its name, and whether the note sets it.
const SETTINGS: [(&str, &str, bool); 4] = [
    (super::PAUSED, "paused", true),
    (super::RESUMED, "paused", false),
    (super::QUOTA_CLOSED, "quota", true),
    (super::QUOTA_REOPENED, "quota", false),
];

/// Returns the word of an event, as in its JSON.
pub(super) fn word(event: &Event) -> &'static str {
    match event {
        Event::Begin(_) => "begin",
        Event::Sending => "sending",
        Event::End(_) => "end",
        Event::FollowUp(_) => "follow_up",
        Event::Note(_) => "note",
        _ => "other",
    }
}

fn word_of_end(end: &End) -> &'static str {
    match end {
        End::Abandoned => "abandoned",
        End::Refused { .. } => "refused",
        End::Returned { .. } => "returned",
        End::Failed { .. } => "failed",
        End::Cancelled(_) => "cancelled",
        End::Panicked(_) => "panicked",
        End::Interrupted(_) => "interrupted",
        _ => "other",
    }
}

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
    let (mut actor, mut subject, mut reason, mut session, mut token) =
        (None, None, None, None, None);
    let operation = match &begin.asked {
        Asked::Create {
            subject: user,
            actor: sub,
            reason: why,
            session_lifetime,
            ..
        } => {
            (actor, subject, reason) = (Some(sub), Some(user), why.as_ref());
            session = session_lifetime.map(|lifetime| lifetime.as_secs());
            "create"
        }
        Asked::Revoke { actor_token_id } => {
            token = Some(actor_token_id.as_str());
            "revoke"
        }
        _ => "other",
    };
    let principal = begin.principal.as_ref();
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO calls (seq, call, began_at, operation, principal, via, policy, actor,
            subject, reason, session_lifetime, actor_token_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        seq,
        call,
        millis(at),
        operation,
        principal.map(|principal| &principal.id),
        principal.map(|principal| &principal.via),
        begin.policy,
        actor,
        subject,
        reason,
        session,
        token,
    ])?;
    Ok(())
}

fn ended(connection: &Connection, call: &str, at: SystemTime, end: &End) -> rusqlite::Result<()> {
    let (mut status, mut code, mut rule, mut token) = (None, None, None, None);
    match end {
        End::Refused {
            status: of,
            code: word,
            rule: name,
        } => (status, code, rule) = (*of, word.as_ref(), name.as_ref()),
        End::Returned { actor_token_id, .. } => token = Some(actor_token_id),
        End::Failed {
            status: of,
            code: word,
            effect,
            ..
        } => (status, code, token) = (*of, word.as_ref(), effect.actor_token_id.as_ref()),
        End::Cancelled(effect) | End::Panicked(effect) | End::Interrupted(effect) => {
            token = effect.actor_token_id.as_ref();
        }
        _ => {}
    }
    let mut statement = connection.prepare_cached(
        "UPDATE calls SET ended_at = ?, end = ?, outcome = ?, status = ?, code = ?, rule = ?,
            actor_token_id = coalesce(actor_token_id, ?)
         WHERE call = ?",
    )?;
    statement.execute(params![
        millis(at),
        word_of_end(end),
        end.outcome().as_str(),
        status,
        code,
        rule,
        token.map(ActorTokenId::as_str),
        call,
    ])?;
    Ok(())
}

fn noted(connection: &Connection, seq: u64, at: SystemTime, note: &Note) -> rusqlite::Result<()> {
    let setting = SETTINGS.iter().find(|(word, ..)| *word == note.note);
    let Some((_, name, is_set)) = setting else {
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

/// Derives the lease of a create from the records up to a number.
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
    let Some(mut facts) = Facts::of(&own) else {
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

/// The facts about the token of a create, from its entries and from those of the revokes of the token.
struct Facts {
    actor_token_id: Option<ActorTokenId>,
    known_at: SystemTime,
    live_until: Option<SystemTime>,
    accepted_at: Option<SystemTime>,
    state: LeaseState,
    ended_at: Option<SystemTime>,
}

impl Facts {
    /// Reads the ends and follow-ups of a create. `None` means that it minted no token.
    fn of(entries: &[Entry]) -> Option<Self> {
        // The first end counts. A later one counts if the first one knew of no token, and may name its id.
        let mut facts = entries.iter().find_map(Self::of_end)?;
        for entry in entries {
            match &entry.event {
                Event::FollowUp(event) => facts.follow_up(entry.at, event),
                _ => facts.learn(Self::of_end(entry).and_then(|late| late.actor_token_id)),
            }
        }
        Some(facts)
    }

    fn of_end(entry: &Entry) -> Option<Self> {
        let Event::End(end) = &entry.event else {
            return None;
        };
        let (state, actor_token_id, live_until) = match end {
            End::Returned {
                actor_token_id,
                expires_at,
            } => (LeaseState::Returned, Some(actor_token_id), *expires_at),
            End::Failed { effect, .. }
            | End::Cancelled(effect)
            | End::Panicked(effect)
            | End::Interrupted(effect)
                if matches!(effect.outcome, Outcome::Unknown | Outcome::Applied) =>
            {
                let id = effect.actor_token_id.as_ref();
                (LeaseState::Lost, id, effect.exposed_until)
            }
            _ => return None,
        };
        Some(Self {
            actor_token_id: actor_token_id.cloned(),
            known_at: entry.at,
            live_until,
            accepted_at: None,
            state,
            ended_at: None,
        })
    }

    fn follow_up(&mut self, at: SystemTime, event: &FollowUp) {
        match event {
            FollowUp::Withheld => self.reach(LeaseState::Lost, at),
            FollowUp::Settled {
                settled,
                actor_token_id,
                exposed_until,
            } => {
                if *settled == SettleEnd::Revoked.as_str() {
                    self.reach(LeaseState::Revoked, at);
                } else if *settled == SettleEnd::Accepted.as_str() {
                    self.reach(LeaseState::Accepted, at);
                } else {
                    self.reach(LeaseState::Lost, at);
                    self.live_until = exposed_until.or(self.live_until);
                }
                // A foreign token is not that of the call.
                if *settled != SettleEnd::Foreign.as_str() {
                    self.learn(actor_token_id.clone());
                }
            }
            FollowUp::Accepted => self.reach(LeaseState::Accepted, at),
            FollowUp::SessionEnded => self.reach(LeaseState::SessionEnded, at),
            FollowUp::ExpiredUnused => self.reach(LeaseState::Expired, at),
            _ => {}
        }
    }

    /// Reads the end of a revoke of the token.
    fn revoke(&mut self, entry: &Entry) {
        match &entry.event {
            Event::End(End::Returned { .. }) => self.reach(LeaseState::Revoked, entry.at),
            Event::End(End::Failed { error, .. }) => {
                if *error == ErrorKind::AlreadyAccepted.as_str() {
                    self.reach(LeaseState::Accepted, entry.at);
                } else if *error == ErrorKind::AlreadyRevoked.as_str() {
                    self.reach(LeaseState::Revoked, entry.at);
                }
            }
            _ => {}
        }
    }

    fn learn(&mut self, id: Option<ActorTokenId>) {
        self.actor_token_id = self.actor_token_id.take().or(id);
    }

    /// Reaches a state, unless a later one is known. The order of the entries has no influence.
    fn reach(&mut self, state: LeaseState, at: SystemTime) {
        if state == LeaseState::Accepted {
            self.accepted_at = self
                .accepted_at
                .map_or(Some(at), |other| Some(other.min(at)));
        }
        if state > self.state {
            self.state = state;
            self.ended_at = (!state.is_live()).then_some(at);
        }
    }
}

/// Returns the id of a call that was written as text.
pub(super) fn call_id(text: &str) -> Result<CallId> {
    Ok(serde_json::from_value(text.into())?)
}
