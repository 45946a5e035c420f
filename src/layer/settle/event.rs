//! [`SettleEvent`], what became of a credential that its caller did not get.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use http::Extensions;

use crate::{ActorTokenId, Error, settle_end::SettleEnd};

/// What became of a credential that its caller did not get. It never holds the credential itself.
#[derive(Debug)]
pub struct SettleEvent {
    pub(super) end: SettleEnd,
    pub(super) actor_token_id: Option<ActorTokenId>,
    pub(super) exposed_until: Option<SystemTime>,
    pub(super) error: Option<Error>,
    pub(super) extensions: Extensions,
}

impl SettleEvent {
    /// How it ended.
    #[must_use]
    pub fn end(&self) -> SettleEnd {
        self.end
    }

    /// Which token it is about, if its id is known.
    #[must_use]
    pub fn actor_token_id(&self) -> Option<&ActorTokenId> {
        self.actor_token_id.as_ref()
    }

    /// The latest time at which a credential that was minted by now can be used, unless nobody can use it
    /// any more.
    #[must_use]
    pub fn exposed_until(&self) -> Option<SystemTime> {
        self.exposed_until
    }

    /// Why it could not be revoked, if that was tried.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// The extensions of the request that minted it.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// How many credentials met which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettleCounts {
    /// Nobody can use them.
    pub revoked: u64,
    /// They had been used: sessions are live.
    pub accepted: u64,
    /// They exist and could not be revoked.
    pub not_revoked: u64,
    /// They may exist.
    pub unknown: u64,
    /// They are of other users than were asked for.
    pub foreign: u64,
}

impl SettleCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.revoked + self.accepted + self.not_revoked + self.unknown + self.foreign
    }
}

/// The counters behind [`SettleCounts`].
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; SettleEnd::ALL.len()]);

impl Counters {
    pub(super) fn add(&self, end: SettleEnd) {
        self.0[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> SettleCounts {
        let [revoked, accepted, not_revoked, unknown, foreign] =
            SettleEnd::ALL.map(|end| self.0[end as usize].load(Ordering::Relaxed));
        SettleCounts {
            revoked,
            accepted,
            not_revoked,
            unknown,
            foreign,
        }
    }
}

/// What was settled, and what was not, when draining ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    pub(super) counts: SettleCounts,
    pub(super) cut_short: usize,
    pub(super) in_flight: usize,
}

impl DrainReport {
    /// How many credentials met which end, since the client was built.
    #[must_use]
    pub fn counts(&self) -> SettleCounts {
        self.counts
    }

    /// How many lost creates and revokes of theirs were given up because time ran out. Those that may have
    /// left a token were reported, and are in the [counts](Self::counts), unless their runtime stands
    /// still: then they are once it goes on, or ends.
    #[must_use]
    pub fn cut_short(&self) -> usize {
        self.cut_short
    }

    /// How many creates were under way that somebody still waits for. They go on. A call that pauses before
    /// its next attempt is none of them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether nothing was left to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cut_short == 0 && self.in_flight == 0
    }
}
