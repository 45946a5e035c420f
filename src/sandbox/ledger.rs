//! The tokens that a sandbox has minted.

use std::time::{Duration, SystemTime};

use crate::{Actor, ActorToken, ActorTokenId, ActorTokenStatus, CreateActorToken};

/// A snapshot of the tokens of a [`Sandbox`](super::Sandbox), in the order of their creation.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) entries: Vec<LedgerEntry>,
}

impl Ledger {
    /// Returns all tokens.
    pub fn minted(&self) -> impl ExactSizeIterator<Item = &LedgerEntry> {
        self.entries.iter()
    }

    /// Returns the tokens that can be used: pending and not expired.
    pub fn pending(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.minted().filter(|entry| entry.is_usable())
    }

    /// Returns the revoked tokens.
    pub fn revoked(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.with_status(ActorTokenStatus::Revoked)
    }

    /// Returns the tokens that were used.
    pub fn accepted(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.with_status(ActorTokenStatus::Accepted)
    }

    fn with_status(&self, status: ActorTokenStatus) -> impl Iterator<Item = &LedgerEntry> {
        self.minted().filter(move |entry| entry.status == status)
    }
}

/// A token in a [`Ledger`], without its credential. `Debug` leaves out the user and the actor.
#[derive(Clone)]
pub struct LedgerEntry {
    pub(super) id: ActorTokenId,
    pub(super) create: CreateActorToken,
    pub(super) status: ActorTokenStatus,
    pub(super) created_at: SystemTime,
    pub(super) updated_at: SystemTime,
    /// At the time of the snapshot.
    pub(super) has_expired: bool,
    #[cfg(feature = "sessions")]
    pub(super) session: Option<super::LedgerSession>,
}

impl LedgerEntry {
    /// Returns the id of the token.
    pub fn id(&self) -> &ActorTokenId {
        &self.id
    }

    /// Returns the user that is impersonated.
    pub fn user_id(&self) -> &str {
        self.create.user_id()
    }

    /// Returns the actor, with all claims.
    pub fn actor(&self) -> &Actor {
        self.create.actor()
    }

    /// Returns the longest lifetime of the session, if the create set it.
    pub fn session_max_duration(&self) -> Option<Duration> {
        self.create.session_lifetime()
    }

    /// Returns the status. An expired token stays pending.
    pub fn status(&self) -> &ActorTokenStatus {
        &self.status
    }

    /// Returns when the token was minted.
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// Returns when the token expires.
    pub fn expires_at(&self) -> SystemTime {
        self.created_at + self.create.lifetime_or_default()
    }

    /// Returns whether the token could be used: it was pending and had not expired.
    pub fn is_usable(&self) -> bool {
        self.status == ActorTokenStatus::Pending && !self.has_expired
    }

    /// Sets the final status.
    pub(super) fn end(&mut self, status: ActorTokenStatus, now: SystemTime) -> ActorToken {
        (self.status, self.updated_at) = (status, now);
        self.token()
    }

    /// Returns the token as in a response, without its credential.
    pub(super) fn token(&self) -> ActorToken {
        let mut token = ActorToken::new(self.id.clone(), self.status.clone());
        token.actor = Some(self.actor().clone());
        token.user_id = Some(self.user_id().to_owned());
        token.created_at = Some(self.created_at);
        token.updated_at = Some(self.updated_at);
        token
    }
}

crate::text::opaque_debug!(LedgerEntry, |it|
    id: it.id, status: it.status, created_at: it.created_at, expires_at: it.expires_at());
