//! [`ActorToken`], the response of both operations.

mod ticket;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::ticket::Guard;
#[cfg(feature = "sessions")]
pub(crate) use self::wire::to_time;
pub use self::{ticket::Ticket, wire::InvalidActorToken};
use crate::{Actor, ActorTokenId, text::presentable};

/// An actor token as the API describes it.
///
/// Only the id is always present. A field that is missing in the response or unreadable is absent. `Debug`
/// shows the id, the status and the times.
///
/// serde writes every field but the [ticket](Self::ticket): times as milliseconds since 1970, and
/// `expires_at`, which the API does not have. [`expose_json`](Self::expose_json) writes the ticket, too.
#[derive(Clone)]
pub struct ActorToken {
    pub(crate) id: ActorTokenId,
    pub(crate) user_id: Option<String>,
    pub(crate) actor: Option<Actor>,
    pub(crate) status: ActorTokenStatus,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) created_at: Option<SystemTime>,
    pub(crate) updated_at: Option<SystemTime>,
    pub(crate) expires_at: Option<SystemTime>,
    /// Counted from the mint, so that it does not depend on the API's clock.
    pub(crate) lifetime: Option<Duration>,
}

/// The state of an actor token. serde reads and writes it as a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorTokenStatus {
    /// It can be used once, until it expires.
    Pending,
    /// It was used, and a session exists. It can no longer be revoked.
    Accepted,
    /// It was revoked and can no longer be used.
    Revoked,
    /// A status that this version does not know: without control characters, with secret keys masked, and
    /// cut after 500 characters. Empty when the response had none.
    Other(String),
}

impl ActorToken {
    /// Creates a token with this id and status and no other field.
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

    /// Returns the id, with which the token can be revoked.
    pub fn id(&self) -> &ActorTokenId {
        &self.id
    }

    /// Returns the id of the user that the token signs in as. It is always present after a create.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// Returns the actor who signs in, with all claims.
    pub fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// Returns the state of the token when the API responded.
    pub fn status(&self) -> &ActorTokenStatus {
        &self.status
    }

    /// Returns the credential, if the response had one.
    pub fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    /// Returns the link that signs in as the user, if the response had one, and
    /// [claims](Ticket::claim) the token.
    pub fn expose_url(&self) -> Option<&str> {
        self.ticket()?.expose_url()
    }

    /// Returns the time at which the token was minted.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.created_at
    }

    /// Returns the time at which the token last changed.
    pub fn updated_at(&self) -> Option<SystemTime> {
        self.updated_at
    }

    /// Returns the time at which the token expires; `None` after a revoke. The API does not send it: it is
    /// `created_at` plus the requested lifetime, or counted from the response if that has passed already.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Sets the lifetime of a token that was just minted.
    pub(crate) fn set_lifetime(&mut self, lifetime: Duration) {
        let now = SystemTime::now();
        let end = |minted: SystemTime| minted.checked_add(lifetime);
        let end_by_api = self.created_at.and_then(end).filter(|end| *end > now);
        self.expires_at = end_by_api.or_else(|| end(now));
        self.lifetime = Some(lifetime);
    }

    /// Moves the token's guard into its ticket. A token without a ticket cannot be used, so it needs no
    /// guard.
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

    /// Takes the guard out of the ticket, so that reading the ticket does not claim the token.
    pub(crate) fn take_guard(&mut self) -> Option<Arc<dyn Guard>> {
        self.ticket.as_mut()?.guard.take()
    }
}

impl ActorTokenStatus {
    /// Returns the status as the API writes it.
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

crate::text::display_as_str!(ActorTokenStatus);

impl Serialize for ActorTokenStatus {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ActorTokenStatus {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|status| Self::from(&*status))
    }
}

crate::text::opaque_debug!(ActorToken, |it|
    id: it.id, status: it.status, ticket: it.ticket, created_at: it.created_at,
    updated_at: it.updated_at, expires_at: it.expires_at);
