//! [`Ledger`], what a sandbox has minted.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::{Actor, ActorTokenId, ActorTokenStatus};

/// Everything that a [`Sandbox`](super::Sandbox) minted, in order, as it was when it was asked.
///
/// ```
/// use clerk_actor_tokens::{Actor, Client, CreateActorToken, sandbox::Sandbox};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), clerk_actor_tokens::Error> {
/// let sandbox = Sandbox::new();
/// let client = Client::new(sandbox.clone());
/// let token = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
/// assert_eq!(sandbox.ledger().pending().count(), 1);
///
/// client.revoke(token.id()).await?;
/// let ledger = sandbox.ledger();
/// assert_eq!((ledger.pending().count(), ledger.revoked().count()), (0, 1));
/// assert_eq!(ledger.minted().next().map(|entry| entry.id()), Some(token.id()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Ledger {
    entries: Vec<LedgerEntry>,
}

impl Ledger {
    pub(super) fn new(entries: Vec<LedgerEntry>) -> Self {
        Self { entries }
    }

    /// Everything that was minted, whatever became of it.
    pub fn minted(&self) -> impl ExactSizeIterator<Item = &LedgerEntry> {
        self.entries.iter()
    }

    /// What can still be used: pending, and its life has not ended.
    pub fn pending(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.iter().filter(|entry| entry.is_usable())
    }

    /// What was revoked.
    pub fn revoked(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.of_status(ActorTokenStatus::Revoked)
    }

    /// What was used.
    pub fn accepted(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.of_status(ActorTokenStatus::Accepted)
    }

    fn of_status(&self, status: ActorTokenStatus) -> impl Iterator<Item = &LedgerEntry> {
        self.entries
            .iter()
            .filter(move |entry| entry.status == status)
    }
}

/// A token in a [`Ledger`], without its credential. `Debug` leaves out the user and the actor.
#[derive(Clone)]
pub struct LedgerEntry {
    pub(super) id: ActorTokenId,
    pub(super) user_id: String,
    pub(super) actor: Actor,
    pub(super) session_life: Option<Duration>,
    pub(super) status: ActorTokenStatus,
    pub(super) created_at: SystemTime,
    pub(super) expires_at: SystemTime,
    pub(super) has_expired: bool,
}

impl LedgerEntry {
    /// The id of the token.
    #[must_use]
    pub fn id(&self) -> &ActorTokenId {
        &self.id
    }

    /// The user that the token signs in as.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Who signs in, with all claims.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// How long the session may last that the token opens, if the create said so.
    #[must_use]
    pub fn session_max_duration(&self) -> Option<Duration> {
        self.session_life
    }

    /// The status of the token; it stays pending when its life ends.
    #[must_use]
    pub fn status(&self) -> &ActorTokenStatus {
        &self.status
    }

    /// When the token was minted.
    #[must_use]
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// When the life of the token ends.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Whether the token could be used: it is pending, and its life has not ended.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.status == ActorTokenStatus::Pending && !self.has_expired
    }
}

impl fmt::Debug for LedgerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerEntry")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
