//! [`ActorToken`], what the API answers.

mod compact;
mod decode;
mod echo;
mod invalid;
mod odd_time;
mod salvage;
mod ticket;
mod wire;

use std::{fmt, sync::Arc, time::SystemTime};

use serde::Serialize;

pub(crate) use self::decode::Reading;
use self::echo::Echo;
pub(crate) use self::ticket::Guard;
pub use self::{invalid::InvalidActorToken, ticket::Ticket};
use crate::{Actor, ActorTokenId, text::presentable};

/// An actor token as the API describes it.
///
/// Only its id is certain. Whatever else the answer left out, or gave in a form that cannot be
/// read, is absent. `Debug` shows the id, the status and the times.
#[derive(Clone)]
pub struct ActorToken {
    pub(crate) id: ActorTokenId,
    pub(crate) user_id: Option<String>,
    actor: Echo,
    pub(crate) status: ActorTokenStatus,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) created_at: Option<SystemTime>,
    pub(crate) updated_at: Option<SystemTime>,
    pub(crate) expires_at: Option<SystemTime>,
}

/// The state of an actor token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorTokenStatus {
    /// It can be used once, until its life ends.
    Pending,
    /// It was used: a session is live. It can no longer be revoked.
    Accepted,
    /// It is dead.
    Revoked,
    /// A status that this version does not know, stripped of control characters, with whatever looks
    /// like a secret key masked; of more than 500 characters these are left, and an `…`. Empty when
    /// the answer had none.
    Other(String),
}

impl ActorToken {
    /// A token of which no more than its id and status are known.
    #[must_use]
    pub fn new(id: ActorTokenId, status: ActorTokenStatus) -> Self {
        Self {
            id,
            user_id: None,
            actor: Echo::default(),
            status,
            ticket: None,
            created_at: None,
            updated_at: None,
            expires_at: None,
        }
    }

    /// The id by which the token is revoked.
    #[must_use]
    pub fn id(&self) -> &ActorTokenId {
        &self.id
    }

    /// The id of the user that the token signs in as. Always present on what a create returns.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// Who signs in, with all claims.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.actor.get()
    }

    /// The state that the token was in when the API answered.
    #[must_use]
    pub fn status(&self) -> &ActorTokenStatus {
        &self.status
    }

    /// The credential itself, if the answer had one.
    #[must_use]
    pub fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    /// When the token was minted.
    #[must_use]
    pub fn created_at(&self) -> Option<SystemTime> {
        self.created_at
    }

    /// When the token last changed.
    #[must_use]
    pub fn updated_at(&self) -> Option<SystemTime> {
        self.updated_at
    }

    /// Until when the token can be used, computed from the request; on what a revoke returns,
    /// absent.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The token as JSON on the wire, **with its credential**, for services that pass it on. Writing
    /// it [claims](Ticket::claim) the token.
    #[must_use]
    pub fn expose_json(&self) -> Vec<u8> {
        let ticket = self.ticket();
        let exposed = Exposed {
            object: "actor_token",
            id: self.id.as_str(),
            user_id: self.user_id(),
            actor: self.actor(),
            status: self.status.as_str(),
            token: ticket.and_then(Ticket::expose_token),
            url: ticket.and_then(Ticket::expose_url),
            created_at: self.created_at.and_then(to_millis),
            updated_at: self.updated_at.and_then(to_millis),
        };
        // Text, numbers and maps with text keys always encode.
        serde_json::to_vec(&exposed).unwrap_or_default()
    }

    /// The token with this actor.
    #[cfg(feature = "sandbox")]
    pub(crate) fn with_actor(mut self, actor: Actor) -> Self {
        self.actor = actor.into();
        self
    }

    /// Hands the token's guard to its ticket. A token without a ticket cannot be used by who finds it,
    /// so it needs no guard.
    pub(crate) fn guarded_by(mut self, guard: Option<Arc<dyn Guard>>) -> Self {
        if let Some(guard) = guard {
            match &mut self.ticket {
                Some(ticket) => {
                    guard.identify(&self.id);
                    ticket.set_guard(guard);
                }
                None => guard.claim(),
            }
        }
        self
    }

    /// Takes the guard out of the ticket, which reading the ticket would end.
    pub(crate) fn take_guard(&mut self) -> Option<Arc<dyn Guard>> {
        self.ticket.as_mut()?.take_guard()
    }
}

impl ActorTokenStatus {
    /// The status as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Other(status) => status,
        }
    }
}

impl From<&str> for ActorTokenStatus {
    fn from(status: &str) -> Self {
        match status {
            "pending" => Self::Pending,
            "accepted" => Self::Accepted,
            "revoked" => Self::Revoked,
            other => Self::Other(presentable(other)),
        }
    }
}

#[derive(Serialize)]
struct Exposed<'a> {
    object: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<u64>,
}

fn to_millis(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

impl fmt::Debug for ActorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorToken")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("ticket", &self.ticket)
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
