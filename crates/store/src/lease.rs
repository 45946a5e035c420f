//! [`Lease`], a token that exists or may exist.

use std::{str::FromStr, time::SystemTime};

use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::CallId;
use serde::{Deserialize, Serialize};

/// A token that exists or may exist, derived from the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The create's call, which is also the token's claim `call`.
    pub call: CallId,
    /// The token; `None` if its response was lost.
    pub actor_token_id: Option<ActorTokenId>,
    /// The user to sign in as.
    pub subject: String,
    /// The actor's `sub`.
    pub actor: String,
    /// The principal who asked for it.
    pub principal: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When the create was about to be sent. The token is not older.
    pub created_at: SystemTime,
    /// Until when the token can be used, if that is known.
    pub live_until: Option<SystemTime>,
    /// When the last session ends that the token may have begun.
    pub session_until: Option<SystemTime>,
    /// The state.
    pub state: LeaseState,
    /// When the token, or its session, ended.
    pub ended_at: Option<SystemTime>,
}

/// The state of a token, as far as the audit knows. Of two facts the state counts that comes later in this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// The caller has it.
    Returned,
    /// It exists or may exist, its caller did not get it, and it could not be revoked yet.
    Lost,
    /// It expired unused, or its time and that of its session are over.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was used: a session is live.
    Accepted,
    /// It was used, and its session was ended.
    SessionEnded,
}

impl LeaseState {
    /// All states, in their order.
    pub const ALL: [Self; 6] = [
        Self::Returned,
        Self::Lost,
        Self::Expired,
        Self::Revoked,
        Self::Accepted,
        Self::SessionEnded,
    ];

    /// Returns the word of the state, such as `session_ended`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Returned => "returned",
            Self::Lost => "lost",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Accepted => "accepted",
            Self::SessionEnded => "session_ended",
        }
    }

    /// Returns whether the token can be used, or its session may be live.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Returned | Self::Lost | Self::Accepted)
    }
}

/// Which leases to read. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct LeaseFilter {
    /// The lease of a call.
    pub call: Option<CallId>,
    /// The lease of a token.
    pub actor_token_id: Option<ActorTokenId>,
    /// The leases of an actor.
    pub actor: Option<String>,
    /// The leases on a subject.
    pub subject: Option<String>,
    /// The leases of tokens that may have been minted since then.
    pub since: Option<SystemTime>,
    /// The leases in a state.
    pub state: Option<LeaseState>,
    /// The leases that are [live](LeaseState::is_live).
    pub live_only: bool,
    /// How many leases to read at most, the newest ones.
    pub limit: Option<u32>,
}

impl LeaseFilter {
    /// Selects all leases that are [live](LeaseState::is_live).
    pub fn live() -> Self {
        Self {
            live_only: true,
            ..Self::default()
        }
    }
}

impl FromStr for LeaseState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == word);
        state.ok_or_else(|| format!("no state is `{word}`"))
    }
}
