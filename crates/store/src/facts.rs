//! [`LeaseFacts`], what entries say about a token.

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
        // The first end counts. A later one counts if the first one knew of no token, and may name its id.
        let mut facts = entries.iter().find_map(Self::of_end)?;
        for entry in entries {
            match &entry.event {
                Event::FollowUp(event) => facts.follow_up(entry.at, event),
                _ => facts.learn(Self::of_end(entry).and_then(|late| late.actor_token_id)),
            }
        }
        Some(facts)
    }

    fn of_end(entry: &Entry) -> Option<Self> {
        let Event::End(end) = &entry.event else {
            return None;
        };
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
            _ => return None,
        };
        Some(Self {
            actor_token_id: actor_token_id.cloned(),
            known_at: entry.at,
            live_until,
            accepted_at: None,
            state,
            ended_at: None,
        })
    }

    fn follow_up(&mut self, at: SystemTime, event: &FollowUp) {
        match event {
            FollowUp::Withheld => self.reach(LeaseState::Lost, at),
            FollowUp::Settled {
                settled,
                actor_token_id,
                exposed_until,
            } => {
                if *settled == SettleEnd::Revoked.as_str() {
                    self.reach(LeaseState::Revoked, at);
                } else if *settled == SettleEnd::Accepted.as_str() {
                    self.reach(LeaseState::Accepted, at);
                } else {
                    self.reach(LeaseState::Lost, at);
                    self.live_until = exposed_until.or(self.live_until);
                }
                // A foreign token is not that of the call.
                if *settled != SettleEnd::Foreign.as_str() {
                    self.learn(actor_token_id.clone());
                }
            }
            FollowUp::Accepted => self.reach(LeaseState::Accepted, at),
            FollowUp::SessionEnded => self.reach(LeaseState::SessionEnded, at),
            FollowUp::ExpiredUnused => self.reach(LeaseState::Expired, at),
            _ => {}
        }
    }

    /// Reads the end of a revoke of the token.
    pub fn revoke(&mut self, entry: &Entry) {
        match &entry.event {
            Event::End(End::Returned { .. }) => self.reach(LeaseState::Revoked, entry.at),
            Event::End(End::Failed { error, .. }) => {
                if *error == ErrorKind::AlreadyAccepted.as_str() {
                    self.reach(LeaseState::Accepted, entry.at);
                } else if *error == ErrorKind::AlreadyRevoked.as_str() {
                    self.reach(LeaseState::Revoked, entry.at);
                }
            }
            _ => {}
        }
    }

    fn learn(&mut self, id: Option<ActorTokenId>) {
        self.actor_token_id = self.actor_token_id.take().or(id);
    }

    /// Reaches a state, unless a later one is known. The order of the entries has no influence.
    fn reach(&mut self, state: LeaseState, at: SystemTime) {
        if state == LeaseState::Accepted {
            self.accepted_at = self
                .accepted_at
                .map_or(Some(at), |other| Some(other.min(at)));
        }
        if state > self.state {
            self.state = state;
            self.ended_at = (!state.is_live()).then_some(at);
        }
    }
}
