//! [`ActorToken`], the response to both operations.

mod ticket;
mod wire;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(crate) use self::ticket::Guard;
pub(crate) use self::wire::Salvaged;
pub use self::{ticket::Ticket, wire::InvalidActorToken};
use crate::{Actor, ActorTokenId, text::presentable};

/// An actor token as the API describes it.
///
/// Only the id is always present. A field that the response left out, or that could not be read, is
/// absent. `Debug` shows the id, the status and the times.
#[derive(Clone)]
pub struct ActorToken {
    pub(crate) id: ActorTokenId,
    pub(crate) user_id: Option<String>,
    actor: Option<Actor>,
    pub(crate) status: ActorTokenStatus,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) created_at: Option<SystemTime>,
    pub(crate) updated_at: Option<SystemTime>,
    pub(crate) expires_at: Option<SystemTime>,
    /// How long the token lives from its mint on, which does not depend on the API's clock.
    pub(crate) lifetime: Option<Duration>,
}

/// The state of an actor token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorTokenStatus {
    /// It can be used once, until it expires.
    Pending,
    /// It was used, and a session exists. It can no longer be revoked.
    Accepted,
    /// It was revoked and can no longer be used.
    Revoked,
    /// A status that this version does not know, without control characters, with secret keys masked,
    /// and cut after 500 characters. Empty when the response had none.
    Other(String),
}

impl ActorToken {
    /// A token with this id and status and no other field.
    #[must_use]
    pub fn new(id: ActorTokenId, status: ActorTokenStatus) -> Self {
        Self {
            id,
            user_id: None,
            actor: None,
            status,
            ticket: None,
            created_at: None,
            updated_at: None,
            expires_at: None,
            lifetime: None,
        }
    }

    /// The id, with which the token can be revoked.
    #[must_use]
    pub fn id(&self) -> &ActorTokenId {
        &self.id
    }

    /// The id of the user that the token signs in as. Always present after a create.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The actor who signs in, with all claims.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// The state of the token when the API responded.
    #[must_use]
    pub fn status(&self) -> &ActorTokenStatus {
        &self.status
    }

    /// The credential, if the response had one.
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

    /// When the token expires, computed from the request and `created_at`, or from the time of the
    /// response if the token would have expired before that. Absent after a revoke.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Notes how long the token lives, which the API has just minted.
    pub(crate) fn living_for(mut self, lifetime: Duration) -> Self {
        let now = SystemTime::now();
        let end = |minted: SystemTime| minted.checked_add(lifetime);
        let end_by_api = self.created_at.and_then(end).filter(|end| *end > now);
        self.expires_at = end_by_api.or_else(|| end(now));
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets the actor.
    #[cfg(feature = "sandbox")]
    pub(crate) fn with_actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Hands the token's guard to its ticket. A token without a ticket cannot be used by who finds it,
    /// so it needs no guard.
    pub(crate) fn set_guard(&mut self, guard: Option<Arc<dyn Guard>>) {
        if let Some(guard) = guard {
            match &mut self.ticket {
                Some(ticket) => {
                    guard.identify(&self.id);
                    ticket.guard = Some(guard);
                }
                None => guard.claim(),
            }
        }
    }

    /// Takes the guard out of the ticket, which reading the ticket would end.
    pub(crate) fn take_guard(&mut self) -> Option<Arc<dyn Guard>> {
        self.ticket.as_mut()?.guard.take()
    }
}

impl ActorTokenStatus {
    /// The status as the API writes it.
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
