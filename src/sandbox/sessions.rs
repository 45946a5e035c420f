//! The sessions of accepted tokens, and their part of the wire protocol.

use std::time::{Duration, SystemTime};

use form_urlencoded::parse;
use http::{Method, Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    Ledger, LedgerEntry, Sandbox,
    state::{State, not_found, random},
};
use crate::{
    Error,
    server::{ActorTokensApi, ResponseBody, body, response},
};

const PATH: &str = "/v1/sessions";

/// The lifetime of a session whose create set none.
const DEFAULT_LIFE: Duration = Duration::from_secs(1800);

/// The session of an accepted token in a [`LedgerEntry`].
#[derive(Clone, Debug)]
pub struct LedgerSession {
    id: String,
    status: &'static str,
    created_at: SystemTime,
    updated_at: SystemTime,
    expires_at: SystemTime,
}

impl LedgerSession {
    /// Returns the id of the session.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the status: `active`, `expired` or `revoked`.
    pub fn status(&self) -> &str {
        self.status
    }

    /// Returns whether the session could be used.
    pub fn is_live(&self) -> bool {
        self.status == "active"
    }

    fn end(&mut self, status: &'static str, now: SystemTime) {
        if self.is_live() {
            (self.status, self.updated_at) = (status, now);
        }
    }
}

impl Ledger {
    /// Returns the tokens with a live session.
    pub fn live_sessions(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.minted()
            .filter(|entry| entry.session().is_some_and(LedgerSession::is_live))
    }
}

impl LedgerEntry {
    /// Returns the session that began when the token was accepted.
    pub fn session(&self) -> Option<&LedgerSession> {
        self.session.as_ref()
    }

    pub(super) fn begin_session(&mut self, now: SystemTime) {
        self.session = Some(LedgerSession {
            id: format!("sess_{}", random(27)),
            status: "active",
            created_at: now,
            updated_at: now,
            expires_at: now + self.session_max_duration().unwrap_or(DEFAULT_LIFE),
        });
    }

    pub(super) fn expire_session(&mut self, now: SystemTime) {
        if let Some(session) = self.session.as_mut().filter(|it| now >= it.expires_at) {
            session.end("expired", now);
        }
    }

    /// Returns the session as in a response.
    fn session_json(&self) -> Option<Value> {
        let session = self.session()?;
        let millis = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap_or_default().as_millis() as u64
        };
        Some(json!({
            "object": "session",
            "id": session.id,
            "user_id": self.user_id(),
            "client_id": session.id.replace("sess_", "client_"),
            "actor": self.actor(),
            "status": session.status,
            "last_active_at": millis(session.created_at),
            "expire_at": millis(session.expires_at),
            "abandon_at": millis(session.expires_at),
            "created_at": millis(session.created_at),
            "updated_at": millis(session.updated_at),
        }))
    }
}

/// Returns the response to an operation on sessions, or `None` for any other request.
pub(super) fn response(
    sandbox: &Sandbox,
    api: &ActorTokensApi<Sandbox>,
    head: &Parts,
) -> Option<Response<ResponseBody>> {
    let path = head.uri.path().strip_prefix(PATH)?;
    let to_end = match (&head.method, path) {
        (&Method::GET, "") => None,
        (&Method::POST, _) => Some(path.strip_prefix('/')?.strip_suffix("/revoke")?),
        _ => return None,
    };
    let result = api.check_caller(head).and_then(|_| {
        let mut state = sandbox.state();
        state.count_request()?;
        let now = state.now();
        for entry in &mut state.minted {
            entry.expire_session(now);
        }
        match to_end {
            Some(id) => state.end_session(id),
            None => state.list_sessions(head.uri.query().unwrap_or_default()),
        }
    });
    Some(match result {
        Ok(body) => response::json(StatusCode::OK, body.to_string()),
        Err(error) => error.to_response(),
    })
}

impl State {
    /// Returns a page of sessions, newest first.
    fn list_sessions(&self, query: &str) -> Result<Value, Error> {
        let parameter = |name: &str| parse(query.as_bytes()).find(|(it, _)| it == name);
        let text = |name| parameter(name).map(|(_, value)| value.into_owned());
        let number = |name, default: usize| match text(name) {
            Some(text) => text.parse().map_err(|_| invalid_parameter(name)),
            None => Ok(default),
        };
        let (user_id, status) = (text("user_id"), text("status"));
        let (limit, offset) = (number("limit", 10)?, number("offset", 0)?);
        if !(1..=500).contains(&limit) {
            return Err(invalid_parameter("limit"));
        }
        let user_id = user_id.ok_or_else(|| invalid_parameter("user_id"))?;
        let mut sessions: Vec<_> = self
            .minted
            .iter()
            .filter(|it| it.user_id() == user_id)
            .collect();
        sessions.sort_by_key(|entry| entry.session().map(|session| session.created_at));
        let sessions = sessions.into_iter().rev().filter(|entry| {
            let is = |wanted: &String| entry.session().is_some_and(|it| it.status == wanted);
            status.as_ref().is_none_or(is)
        });
        let page = sessions.filter_map(LedgerEntry::session_json).skip(offset);
        Ok(page.take(limit).collect())
    }

    /// Ends a live session. One that is over stays as it is.
    fn end_session(&mut self, id: &str) -> Result<Value, Error> {
        let now = self.now();
        for entry in &mut self.minted {
            if let Some(session) = entry.session.as_mut().filter(|it| it.id == id) {
                session.end("revoked", now);
                return Ok(entry.session_json().unwrap_or_default());
            }
        }
        Err(not_found("No session was found with this id."))
    }
}

fn invalid_parameter(name: &str) -> Error {
    body::invalid_field(name, &format!("{name} is missing or invalid."))
}
