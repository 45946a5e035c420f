//! [`Account`], what became of a call, and of the clones of it.

use std::time::{Duration, SystemTime};

use crate::{ActorTokenId, Outcome};

/// What became of a call, and of the clones of it that layers sent in its stead.
pub(crate) struct Account {
    pub(crate) outcome: Outcome,
    pub(crate) attempts: u32,
    /// Whether an attempt was given up that somebody settles.
    pub(crate) is_followed: bool,
    /// The token that was minted although the call failed, if its id is known.
    pub(crate) lost: Option<ActorTokenId>,
    pub(super) life: Option<Duration>,
}

impl Account {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            outcome: self.outcome.max(other.outcome),
            attempts: self.attempts + other.attempts,
            is_followed: self.is_followed | other.is_followed,
            lost: self.lost.or(other.lost),
            life: self.life.max(other.life),
        }
    }

    /// Until when a token could be used that was minted by now.
    pub(crate) fn exposed_until(&self) -> Option<SystemTime> {
        SystemTime::now().checked_add(self.life?)
    }
}
