//! The state of a sandbox: its settings, its tokens, its scripted faults.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    iter,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{StatusCode, request::Parts};
use serde_json::json;
use tokio::time::Instant;

use super::{AcceptError, Fault, Ledger, LedgerEntry, accept};
use crate::{
    ActorToken, ActorTokenId, ActorTokenStatus, ClerkError, CreateActorToken, Error, Operation,
    SecretKey, Ticket,
    server::{body, response::refusal},
};

/// Chooses the fault of a request by its number and head.
pub(super) type FaultsBy = dyn Fn(u64, &Parts) -> Option<Fault> + Send + Sync;

/// What all clones of a sandbox share.
pub(super) struct State {
    pub(super) key: SecretKey,
    pub(super) known_users: Option<HashSet<String>>,
    pub(super) quota: Option<u32>,
    pub(super) impersonation: bool,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) faults: VecDeque<Fault>,
    pub(super) faults_by: Option<Arc<FaultsBy>>,
    pub(super) requests: u64,
    /// All tokens in the order of their creation.
    minted: Vec<LedgerEntry>,
    by_id: HashMap<ActorTokenId, usize>,
    by_ticket: HashMap<String, usize>,
    made_at: Instant,
    /// The time of day at `made_at`, since the Unix epoch.
    made_at_unix: Duration,
}

impl State {
    pub(super) fn new() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            key: SecretKey::new("sk_test_sandbox").expect("the constant is a key"),
            known_users: None,
            quota: None,
            impersonation: true,
            rate_limit: None,
            faults: VecDeque::new(),
            faults_by: None,
            requests: 0,
            minted: Vec::new(),
            by_id: HashMap::new(),
            by_ticket: HashMap::new(),
            made_at: Instant::now(),
            made_at_unix: unix.unwrap_or_default(),
        }
    }

    /// Returns the time in whole milliseconds, as on the wire. Tokio's clock moves it on, so that a
    /// paused clock does too.
    fn now(&self) -> SystemTime {
        let now = self.made_at_unix + self.made_at.elapsed();
        SystemTime::UNIX_EPOCH + Duration::new(now.as_secs(), now.subsec_millis() * 1_000_000)
    }

    /// Carries out an operation. The links of tokens lead to `front`.
    pub(super) fn apply(
        &mut self,
        operation: &Operation,
        front: &str,
    ) -> Result<ActorToken, Error> {
        if let Some(limit) = &mut self.rate_limit {
            limit.count_request()?;
        }
        match operation {
            Operation::Create(create) => {
                body::validate(create)?;
                self.check_create(create)?;
                Ok(self.mint(create, front))
            }
            Operation::Revoke(id) => self.revoke(id),
        }
    }

    fn check_create(&self, create: &CreateActorToken) -> Result<(), Error> {
        if !self.impersonation {
            let entry = ClerkError::new(
                "unsupported_subscription_plan_features",
                "unsupported plan features",
                "The plan of this instance does not include impersonation.",
            );
            let entry = entry.with_meta("unsupported_features", json!(["impersonation"]));
            return Err(refusal(StatusCode::PAYMENT_REQUIRED, entry));
        }
        let users = self.known_users.as_ref();
        if users.is_some_and(|users| !users.contains(create.user_id())) {
            return Err(not_found("No user was found with this id."));
        }
        let used = self.minted.len();
        match self.quota {
            Some(limit) if used >= limit as usize => {
                let entry = ClerkError::new(
                    "impersonation_limit_exceeded",
                    "impersonation limit exceeded",
                    "The plan of this instance has no impersonations left.",
                );
                let entry = entry.with_meta("limit", limit).with_meta("used", used);
                Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, entry))
            }
            _ => Ok(()),
        }
    }

    fn mint(&mut self, create: &CreateActorToken, front: &str) -> ActorToken {
        let id = format!("act_{}", random(27));
        let id: ActorTokenId = id.try_into().expect("letters and digits make an id");
        // Random, with the form and length of a small JWT.
        let ticket = format!("eyJ{}.eyJ{}.{}", random(33), random(117), random(43));
        let now = self.now();
        let entry = LedgerEntry {
            id: id.clone(),
            user_id: create.user_id().into(),
            actor: create.actor().clone(),
            session_max_duration: create.session_life(),
            status: ActorTokenStatus::Pending,
            created_at: now,
            updated_at: now,
            expires_at: now + create.life().unwrap_or(CreateActorToken::DEFAULT_LIFE),
            has_expired: false,
        };
        let mut token = to_token(&entry);
        token.expires_at = Some(entry.expires_at);
        let url = format!("{front}{}?ticket={ticket}", accept::PATH);
        token.ticket = Ticket::new(Some(&ticket), Some(&url));
        self.by_id.insert(id, self.minted.len());
        self.by_ticket.insert(ticket, self.minted.len());
        self.minted.push(entry);
        token
    }

    /// Revokes a token. An expired token is still pending and can be revoked.
    fn revoke(&mut self, id: &ActorTokenId) -> Result<ActorToken, Error> {
        let now = self.now();
        let index = self.by_id.get(id);
        let Some(entry) = index.and_then(|index| self.minted.get_mut(*index)) else {
            return Err(not_found("No actor token was found with this id."));
        };
        if entry.status == ActorTokenStatus::Pending {
            return Ok(set_status(entry, ActorTokenStatus::Revoked, now));
        }
        let sentence = format!(
            "Actor token cannot be revoked because its status is {}. Only pending tokens can be revoked.",
            entry.status.as_str()
        );
        let code = "actor_token_cannot_be_revoked_code";
        let entry = ClerkError::new(code, "cannot be revoked", sentence);
        Err(refusal(StatusCode::BAD_REQUEST, entry))
    }

    /// Uses the token with this ticket.
    pub(super) fn accept(&mut self, ticket: &str) -> Result<ActorToken, AcceptError> {
        let now = self.now();
        let index = self.by_ticket.get(ticket);
        let entry = index.and_then(|index| self.minted.get_mut(*index));
        let entry = entry.ok_or(AcceptError::Unknown)?;
        match entry.status {
            ActorTokenStatus::Revoked => Err(AcceptError::Revoked),
            ActorTokenStatus::Accepted => Err(AcceptError::AlreadyAccepted),
            _ if now >= entry.expires_at => Err(AcceptError::Expired),
            _ => Ok(set_status(entry, ActorTokenStatus::Accepted, now)),
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        let now = self.now();
        let mut entries = self.minted.clone();
        for entry in &mut entries {
            entry.has_expired = now >= entry.expires_at;
        }
        Ledger { entries }
    }
}

fn set_status(entry: &mut LedgerEntry, status: ActorTokenStatus, now: SystemTime) -> ActorToken {
    (entry.status, entry.updated_at) = (status, now);
    to_token(entry)
}

/// Returns the token as the API shows it, without its credential.
fn to_token(entry: &LedgerEntry) -> ActorToken {
    let token = ActorToken::new(entry.id.clone(), entry.status.clone());
    let mut token = token.with_actor(entry.actor.clone());
    token.user_id = Some(entry.user_id.clone());
    token.created_at = Some(entry.created_at);
    token.updated_at = Some(entry.updated_at);
    token
}

fn random(len: usize) -> String {
    iter::repeat_with(fastrand::alphanumeric)
        .take(len)
        .collect()
}

fn not_found(sentence: &str) -> Error {
    let entry = ClerkError::new("resource_not_found", "not found", sentence);
    refusal(StatusCode::NOT_FOUND, entry)
}

pub(super) fn too_many_requests() -> ClerkError {
    ClerkError::new(
        "too_many_requests",
        "too many requests",
        "Too many requests. Please try again later.",
    )
}

/// A rate limit with windows of fixed length.
pub(super) struct RateLimit {
    pub(super) requests: u32,
    pub(super) per: Duration,
    pub(super) window_start: Instant,
    pub(super) used: u32,
}

impl RateLimit {
    /// Counts a request, or refuses it until the next window.
    fn count_request(&mut self) -> Result<(), Error> {
        if self.window_start.elapsed() >= self.per {
            (self.window_start, self.used) = (Instant::now(), 0);
        }
        if self.used < self.requests {
            self.used += 1;
            return Ok(());
        }
        let wait = self.per.saturating_sub(self.window_start.elapsed());
        Err(refusal(StatusCode::TOO_MANY_REQUESTS, too_many_requests()).try_again_in(wait))
    }
}
