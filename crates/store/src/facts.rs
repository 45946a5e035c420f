//! [`LeaseFacts`], what entries say about a token, and [`LeaseChange`], what one of them says.

use std::time::SystemTime;

use clerk_actor_tokens::{ActorTokenId, ErrorKind, Outcome, client::SettleEnd};
use clerk_actor_tokens_policy::audit::{End, Entry, Event, FollowUp};

use crate::LeaseState;

/// The facts about the token of a create, from its entries and from those of the revokes of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFacts {
    /// The token, if its id is known.
    pub actor_token_id: Option<ActorTokenId>,
    /// When the token became known, or that it may exist.
    pub known_at: SystemTime,
    /// Until when the token can be used, if that is known.
    pub live_until: Option<SystemTime>,
    /// When the token was found to be used.
    pub accepted_at: Option<SystemTime>,
    /// The state.
    pub state: LeaseState,
    /// When the token, or its session, ended.
    pub ended_at: Option<SystemTime>,
}

impl LeaseFacts {
    /// Reads the ends and follow-ups of a create. `None` means that it minted no token.
    pub fn of(entries: &[Entry]) -> Option<Self> {
        let changes = || {
            entries
                .iter()
                .map(|entry| (entry.at, LeaseChange::of(entry)))
        };
        // The first end with a token counts. A later one may name its id.
        let (known_at, first) = changes().find(|(_, change)| change.has_token)?;
        let mut facts = Self {
            actor_token_id: first.actor_token_id,
            known_at,
            live_until: first.live_until,
            accepted_at: None,
            state: first.state?,
            ended_at: None,
        };
        for (at, change) in changes() {
            if !change.has_token {
                facts.live_until = change.live_until.or(facts.live_until);
                facts.reach(change.state, at);
            }
            facts.actor_token_id = facts.actor_token_id.or(change.actor_token_id);
        }
        Some(facts)
    }

    /// Reads the end of a revoke of the token.
    pub fn revoke(&mut self, entry: &Entry) {
        self.reach(LeaseChange::of_revoke(entry), entry.at);
    }

    /// Reaches a state, unless a later one is known. The order of the entries has no influence.
    fn reach(&mut self, state: Option<LeaseState>, at: SystemTime) {
        let Some(state) = state else {
            return;
        };
        let earliest = |other: Option<SystemTime>| Some(other.map_or(at, |other| other.min(at)));
        if state == LeaseState::Accepted {
            self.accepted_at = earliest(self.accepted_at);
        }
        if state > self.state {
            (self.state, self.ended_at) = (state, None);
        }
        if state == self.state && !state.is_live() {
            self.ended_at = earliest(self.ended_at);
        }
    }
}

/// The facts that one entry of a create says about its token.
///
/// Of all ends of a create, the first with a token counts: later ones only name the token. A follow-up changes the
/// time until when the token can be used, and its state if it is a greater one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseChange {
    /// The entry is an end, and a token exists or may exist.
    pub has_token: bool,
    /// The token, if the entry names it.
    pub actor_token_id: Option<ActorTokenId>,
    /// Until when the token can be used, if the entry says so.
    pub live_until: Option<SystemTime>,
    /// The state of the token, if the entry says so.
    pub state: Option<LeaseState>,
}

impl LeaseChange {
    /// Reads an entry of a create.
    pub fn of(entry: &Entry) -> Self {
        match &entry.event {
            Event::End(end) => Self::of_end(end),
            Event::FollowUp(event) => Self::of_follow_up(event),
            _ => Self::default(),
        }
    }

    fn of_end(end: &End) -> Self {
        let (state, actor_token_id, live_until) = match end {
            End::Returned {
                actor_token_id,
                expires_at,
            } => (LeaseState::Returned, Some(actor_token_id), *expires_at),
            End::Failed { effect, .. }
            | End::Cancelled(effect)
            | End::Panicked(effect)
            | End::Interrupted(effect)
                if matches!(effect.outcome, Outcome::Unknown | Outcome::Applied) =>
            {
                let id = effect.actor_token_id.as_ref();
                (LeaseState::Lost, id, effect.exposed_until)
            }
            _ => return Self::default(),
        };
        Self {
            has_token: true,
            actor_token_id: actor_token_id.cloned(),
            live_until,
            state: Some(state),
        }
    }

    fn of_follow_up(event: &FollowUp) -> Self {
        let reached = |state| Self {
            state: Some(state),
            ..Self::default()
        };
        match event {
            FollowUp::Withheld => reached(LeaseState::Lost),
            FollowUp::Settled {
                settled,
                actor_token_id,
                exposed_until,
            } => {
                let mut change = if *settled == SettleEnd::Revoked.as_str() {
                    reached(LeaseState::Revoked)
                } else if *settled == SettleEnd::Accepted.as_str() {
                    reached(LeaseState::Accepted)
                } else {
                    Self {
                        live_until: *exposed_until,
                        ..reached(LeaseState::Lost)
                    }
                };
                // A foreign token is not that of the call.
                if *settled != SettleEnd::Foreign.as_str() {
                    change.actor_token_id.clone_from(actor_token_id);
                }
                change
            }
            FollowUp::Accepted => reached(LeaseState::Accepted),
            FollowUp::SessionEnded => reached(LeaseState::SessionEnded),
            FollowUp::ExpiredUnused => reached(LeaseState::Expired),
            _ => Self::default(),
        }
    }

    /// Reads the state of the token of a revoke from an end of that.
    pub fn of_revoke(entry: &Entry) -> Option<LeaseState> {
        match &entry.event {
            Event::End(End::Returned { .. }) => Some(LeaseState::Revoked),
            Event::End(End::Failed { error, .. }) => {
                if *error == ErrorKind::AlreadyAccepted.as_str() {
                    Some(LeaseState::Accepted)
                } else if *error == ErrorKind::AlreadyRevoked.as_str() {
                    Some(LeaseState::Revoked)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}
