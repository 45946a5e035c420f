//! [`SettleEvent`], [`SettleCounts`] and [`DrainReport`].

use std::{sync::Arc, time::SystemTime};

use http::Extensions;

use crate::{ActorTokenId, Error, settle_end::SettleEnd};

/// The end of a token that was not returned to its caller. It does not hold the credential.
#[derive(Clone, Debug)]
pub struct SettleEvent {
    pub(super) end: SettleEnd,
    pub(super) actor_token_id: Option<ActorTokenId>,
    pub(super) exposed_until: Option<SystemTime>,
    pub(super) error: Option<Arc<Error>>,
    pub(super) extensions: Extensions,
}

impl SettleEvent {
    /// Returns the end.
    pub fn end(&self) -> SettleEnd {
        self.end
    }

    /// Returns the id of the token, if it is known.
    pub fn actor_token_id(&self) -> Option<&ActorTokenId> {
        self.actor_token_id.as_ref()
    }

    /// Returns the time until which the token can be used; `None` if it was revoked or used.
    pub fn exposed_until(&self) -> Option<SystemTime> {
        self.exposed_until
    }

    /// Returns the error of the last revoke, if one failed.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }

    /// Returns the extensions of the create.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// The number of tokens with each end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettleCounts {
    /// See [`SettleEnd::Revoked`].
    pub revoked: u64,
    /// See [`SettleEnd::Accepted`].
    pub accepted: u64,
    /// See [`SettleEnd::NotRevoked`].
    pub not_revoked: u64,
    /// See [`SettleEnd::Unknown`].
    pub unknown: u64,
    /// See [`SettleEnd::Foreign`].
    pub foreign: u64,
}

impl SettleCounts {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        self.revoked + self.accepted + self.not_revoked + self.unknown + self.foreign
    }

    pub(super) fn add(&mut self, end: SettleEnd) {
        *match end {
            SettleEnd::Revoked => &mut self.revoked,
            SettleEnd::Accepted => &mut self.accepted,
            SettleEnd::NotRevoked => &mut self.not_revoked,
            SettleEnd::Unknown => &mut self.unknown,
            SettleEnd::Foreign => &mut self.foreign,
        } += 1;
    }
}

/// The result of draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    pub(super) counts: SettleCounts,
    pub(super) cut_short: usize,
    pub(super) in_flight: usize,
}

impl DrainReport {
    /// Returns the number of tokens with each end, since the client was built.
    pub fn counts(&self) -> SettleCounts {
        self.counts
    }

    /// Returns how many lost creates and compensating revokes were cancelled at the limit of the drain. If
    /// one may have left a token, it is reported and [counted](Self::counts) when its runtime runs or ends.
    pub fn cut_short(&self) -> usize {
        self.cut_short
    }

    /// Returns how many creates are in flight, calls between two attempts excluded.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns whether everything was settled and nothing is in flight.
    pub fn is_complete(&self) -> bool {
        self.cut_short == 0 && self.in_flight == 0
    }
}
