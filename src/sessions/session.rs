//! [`Session`], and the responses of the two operations on sessions.

use std::time::SystemTime;

use http::StatusCode;
use serde::Deserialize;

use crate::{
    Actor, ActorTokenId, Error, ErrorKind, OperationKind, Outcome, Payload, actor_token::to_time,
    text::presentable,
};

/// A session in which an actor is signed in as a user. `Debug` leaves out the user and the actor.
#[derive(Clone, PartialEq)]
pub struct Session {
    pub(super) id: ActorTokenId,
    user_id: String,
    actor: Actor,
    status: String,
    created_at: Option<SystemTime>,
    last_active_at: Option<SystemTime>,
    expires_at: Option<SystemTime>,
}

impl Session {
    /// Returns the id of the session.
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Returns the user that is impersonated.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Returns the actor who is signed in. The API may leave out claims other than `sub`.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Returns the status as the API writes it, such as `active`. That of a session that was ended is
    /// `revoked`.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Returns whether the session can be used, or could be later: whether its status is none of
    /// `abandoned`, `ended`, `expired`, `removed`, `replaced` and `revoked`.
    pub fn is_live(&self) -> bool {
        is_live(&self.status)
    }

    /// Returns the time at which the token was accepted.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.created_at
    }

    /// Returns the time at which the session was last used.
    pub fn last_active_at(&self) -> Option<SystemTime> {
        self.last_active_at
    }

    /// Returns the time at which the session expires.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    pub(super) fn set_ended(&mut self) {
        self.status = "revoked".into();
    }
}

/// A pending session counts as live, because it becomes active, and so does an unknown status.
fn is_live(status: &str) -> bool {
    !matches!(
        status,
        "abandoned" | "ended" | "expired" | "removed" | "replaced" | "revoked"
    )
}

crate::text::opaque_debug!(Session, |it| id: it.id(), status: it.status, created_at: it.created_at);

/// A session as the API describes it. Times are in milliseconds since 1970.
#[derive(Deserialize)]
pub(super) struct Listed {
    /// The characters of a session's id are those of a token's.
    pub(super) id: ActorTokenId,
    pub(super) user_id: String,
    actor: Option<Actor>,
    #[serde(default)]
    status: String,
    created_at: Option<u64>,
    last_active_at: Option<u64>,
    expire_at: Option<u64>,
}

impl Listed {
    /// Returns the session if an actor is signed in.
    pub(super) fn impersonation(self) -> Option<Session> {
        Some(Session {
            actor: self.actor?,
            id: self.id,
            user_id: self.user_id,
            status: presentable(self.status),
            created_at: self.created_at.and_then(to_time),
            last_active_at: self.last_active_at.and_then(to_time),
            expires_at: self.expire_at.and_then(to_time),
        })
    }
}

/// Reads a page of sessions. One that does not decode makes all unreadable, because it could be the one
/// to end.
pub(super) fn page(body: &[u8]) -> Result<Vec<Listed>, Error> {
    // The text of the error could repeat the response.
    serde_json::from_slice(body).map_err(|_| unreadable("the response is not a list of sessions"))
}

/// Checks the 200 of an operation on sessions.
pub(crate) fn check(payload: &Payload, body: &[u8]) -> Result<(), Error> {
    match payload.kind() {
        OperationKind::EndSession => check_ended(payload.id(), body),
        _ => page(body).map(drop),
    }
}

/// Checks that the session has ended: its status says so or is absent, like that of a revoked token.
fn check_ended(id: Option<&ActorTokenId>, body: &[u8]) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Ended {
        id: ActorTokenId,
        status: Option<String>,
    }

    let ended: Ended =
        serde_json::from_slice(body).map_err(|_| unreadable("the response is not a session"))?;
    if id.is_some_and(|id| *id != ended.id) {
        return Err(unreadable("the response is about another session"));
    }
    match ended.status.filter(|status| is_live(status)) {
        None => Ok(()),
        Some(status) => Err(Error::new(ErrorKind::NotRevoked, Outcome::Rejected)
            .with_status(StatusCode::OK)
            .with_detail(format!(
                "the status of the session is {}",
                presentable(status)
            ))),
    }
}

fn unreadable(why: &str) -> Error {
    Error::unreadable(why, Outcome::Unknown)
}
