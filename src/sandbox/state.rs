//! The tokens of a sandbox, and what becomes of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{StatusCode, request::Parts};
use tokio::time::Instant;

use super::{
    AcceptError, Fault, Ledger, LedgerEntry,
    config::{self, Config},
};
use crate::{
    Actor, ActorToken, ActorTokenId, ActorTokenStatus, ClerkError, CreateActorToken, Error, Ticket,
};

/// Everything that the clones of a sandbox share.
pub(super) struct State {
    pub(super) config: Config,
    pub(super) tokens: Tokens,
    pub(super) faults: VecDeque<Fault>,
    pub(super) faults_by: Option<Arc<FaultsBy>>,
    pub(super) requests: u64,
}

/// Chooses the fault of a request by its number and head.
pub(super) type FaultsBy = dyn Fn(u64, &Parts) -> Option<Fault> + Send + Sync;

impl State {
    pub(super) fn new() -> Self {
        Self {
            config: Config::new(),
            tokens: Tokens::new(),
            faults: VecDeque::new(),
            faults_by: None,
            requests: 0,
        }
    }
}

/// Everything that was minted, in order.
pub(super) struct Tokens {
    minted: Vec<Minted>,
    by_id: HashMap<ActorTokenId, usize>,
    by_ticket: HashMap<String, usize>,
    clock: Clock,
}

struct Minted {
    id: ActorTokenId,
    user_id: String,
    actor: Actor,
    status: ActorTokenStatus,
    created_at: SystemTime,
    updated_at: SystemTime,
    life: Duration,
    session_life: Option<Duration>,
}

impl Tokens {
    fn new() -> Self {
        Self {
            minted: Vec::new(),
            by_id: HashMap::new(),
            by_ticket: HashMap::new(),
            clock: Clock::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.minted.len()
    }

    /// Mints a token, whose link leads to `front`.
    pub(super) fn mint(&mut self, create: &CreateActorToken, front: &str) -> ActorToken {
        let (id, ticket) = (new_id(), new_ticket());
        let now = self.clock.now();
        let minted = Minted {
            id: id.clone(),
            user_id: create.user_id().into(),
            actor: create.actor().clone(),
            status: ActorTokenStatus::Pending,
            created_at: now,
            updated_at: now,
            life: create.life().unwrap_or(CreateActorToken::DEFAULT_LIFE),
            session_life: create.session_life(),
        };
        let mut token = minted.to_token();
        token.expires_at = minted.created_at.checked_add(minted.life);
        let url = format!("{front}{}?ticket={ticket}", super::accept::PATH);
        token.ticket = Ticket::new(Some(&ticket), Some(&url));
        self.by_id.insert(id, self.minted.len());
        self.by_ticket.insert(ticket, self.minted.len());
        self.minted.push(minted);
        token
    }

    /// Revokes a token. That its life has ended does not matter: it is pending all the same.
    pub(super) fn revoke(&mut self, id: &ActorTokenId) -> Result<ActorToken, Error> {
        let now = self.clock.now();
        let found = self.by_id.get(id);
        let Some(token) = found.and_then(|index| self.minted.get_mut(*index)) else {
            return Err(config::not_found("No actor token was found with this id."));
        };
        if token.status == ActorTokenStatus::Pending {
            return Ok(token.turn(ActorTokenStatus::Revoked, now));
        }
        let sentence = format!(
            "Actor token cannot be revoked because its status is {}. Only pending tokens can be revoked.",
            token.status.as_str()
        );
        let code = "actor_token_cannot_be_revoked_code";
        let entry = ClerkError::new(code, "cannot be revoked", sentence);
        Err(config::error(StatusCode::BAD_REQUEST, entry))
    }

    /// Uses a token.
    pub(super) fn accept(&mut self, ticket: &str) -> Result<ActorToken, AcceptError> {
        let now = self.clock.now();
        let found = self.by_ticket.get(ticket);
        let token = found
            .and_then(|index| self.minted.get_mut(*index))
            .ok_or(AcceptError::Unknown)?;
        match token.status {
            ActorTokenStatus::Revoked => Err(AcceptError::Revoked),
            ActorTokenStatus::Accepted => Err(AcceptError::AlreadyAccepted),
            _ if token.has_expired(now) => Err(AcceptError::Expired),
            _ => Ok(token.turn(ActorTokenStatus::Accepted, now)),
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        let now = self.clock.now();
        let entry = |token: &Minted| LedgerEntry {
            id: token.id.clone(),
            user_id: token.user_id.clone(),
            actor: token.actor.clone(),
            session_life: token.session_life,
            status: token.status.clone(),
            created_at: token.created_at,
            expires_at: token.created_at + token.life,
            has_expired: token.has_expired(now),
        };
        Ledger::new(self.minted.iter().map(entry).collect())
    }
}

impl Minted {
    fn has_expired(&self, now: SystemTime) -> bool {
        now >= self.created_at + self.life
    }

    fn turn(&mut self, status: ActorTokenStatus, now: SystemTime) -> ActorToken {
        self.status = status;
        self.updated_at = now;
        self.to_token()
    }

    /// The token as an answer tells it, without its credential.
    fn to_token(&self) -> ActorToken {
        let token = ActorToken::new(self.id.clone(), self.status.clone());
        let mut token = token.with_actor(self.actor.clone());
        token.user_id = Some(self.user_id.clone());
        token.created_at = Some(self.created_at);
        token.updated_at = Some(self.updated_at);
        token
    }
}

/// The time of day when the sandbox was made, moved on by the clock of the runtime, paused or not.
struct Clock {
    base: SystemTime,
    begun: Instant,
}

impl Clock {
    fn new() -> Self {
        Self {
            base: SystemTime::now(),
            begun: Instant::now(),
        }
    }

    /// Now, in whole milliseconds, as the wire tells times.
    fn now(&self) -> SystemTime {
        let elapsed = Instant::now().saturating_duration_since(self.begun);
        let since = (self.base + elapsed)
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::new(since.as_secs(), since.subsec_millis() * 1_000_000)
    }
}

fn new_id() -> ActorTokenId {
    let id = format!("act_{}", random(27));
    id.try_into().expect("letters and digits make an id")
}

/// As long as a small JWT and in its form, but random through and through.
fn new_ticket() -> String {
    format!("eyJ{}.eyJ{}.{}", random(33), random(117), random(43))
}

fn random(len: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(len)
        .collect()
}
