//! The state of a sandbox: settings, tokens and scripted faults.

use std::{
    collections::{HashMap, HashSet, VecDeque},
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

pub(super) type FaultsBy = dyn Fn(u64, &Parts) -> Option<Fault> + Send + Sync;

/// The state that all clones of a sandbox share.
pub(super) struct State {
    pub(super) key: SecretKey,
    pub(super) known_users: Option<HashSet<String>>,
    pub(super) quota: Option<u32>,
    pub(super) impersonation: bool,
    /// The maximum of requests in a window, and its length.
    pub(super) rate_limit: Option<(u32, Duration)>,
    /// The start of the current window, and the number of requests in it.
    window: (Instant, u32),
    pub(super) faults: VecDeque<Fault>,
    pub(super) faults_by: Option<Arc<FaultsBy>>,
    pub(super) requests: u64,
    pub(super) minted: Vec<LedgerEntry>,
    by_id: HashMap<ActorTokenId, usize>,
    by_ticket: HashMap<String, usize>,
    /// The start by tokio's clock and by the system clock.
    started_at: (Instant, SystemTime),
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            key: SecretKey::new("sk_test_sandbox").expect("a valid key"),
            known_users: None,
            quota: None,
            impersonation: true,
            rate_limit: None,
            window: (Instant::now(), 0),
            faults: VecDeque::new(),
            faults_by: None,
            requests: 0,
            minted: Vec::new(),
            by_id: HashMap::new(),
            by_ticket: HashMap::new(),
            started_at: (Instant::now(), SystemTime::now()),
        }
    }

    /// Returns the time by tokio's clock, in whole milliseconds as on the wire.
    pub(super) fn now(&self) -> SystemTime {
        let (start, system_start) = self.started_at;
        let now = (system_start + start.elapsed()).duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::new(now.as_secs(), now.subsec_millis() * 1_000_000)
    }

    /// Carries out an operation. Token links start with `origin`.
    pub(super) fn apply(
        &mut self,
        operation: &Operation,
        origin: &str,
    ) -> Result<ActorToken, Error> {
        self.count_request()?;
        match operation {
            Operation::Create(create) => self.mint(create, origin),
            Operation::Revoke(id) => self.revoke(id),
        }
    }

    /// Counts a request, or refuses it until the next window.
    pub(super) fn count_request(&mut self) -> Result<(), Error> {
        let Some((limit, per)) = self.rate_limit else {
            return Ok(());
        };
        let (start, requests) = &mut self.window;
        if start.elapsed() >= per {
            (*start, *requests) = (Instant::now(), 0);
        }
        if *requests >= limit {
            return Err(too_many_requests(per.saturating_sub(start.elapsed())));
        }
        *requests += 1;
        Ok(())
    }

    fn check_create(&self, create: &CreateActorToken) -> Result<(), Error> {
        if !self.impersonation {
            let code = "unsupported_subscription_plan_features";
            let sentence = "The plan of this instance does not include impersonation.";
            let entry = ClerkError::new(code, "unsupported plan features", sentence)
                .with_meta("unsupported_features", json!(["impersonation"]));
            return Err(refusal(StatusCode::PAYMENT_REQUIRED, entry));
        }
        let users = self.known_users.as_ref();
        if users.is_some_and(|users| !users.contains(create.user_id())) {
            return Err(not_found("No user was found with this id."));
        }
        let used = self.minted.len();
        if self.quota.is_none_or(|limit| used < limit as usize) {
            return Ok(());
        }
        let code = "impersonation_limit_exceeded";
        let sentence = "The plan of this instance has no impersonations left.";
        let entry = ClerkError::new(code, "impersonation limit exceeded", sentence)
            .with_meta("limit", self.quota)
            .with_meta("used", used);
        Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, entry))
    }

    fn mint(&mut self, create: &CreateActorToken, origin: &str) -> Result<ActorToken, Error> {
        body::validate(create)?;
        self.check_create(create)?;
        let id = format!("act_{}", random(27));
        let id: ActorTokenId = id.try_into().expect("a valid id");
        // The form and length of a small JWT.
        let ticket = format!("eyJ{}.eyJ{}.{}", random(33), random(117), random(43));
        let now = self.now();
        let entry = LedgerEntry {
            id: id.clone(),
            create: create.clone(),
            status: ActorTokenStatus::Pending,
            created_at: now,
            updated_at: now,
            has_expired: false,
            #[cfg(feature = "sessions")]
            session: None,
        };
        let mut token = entry.token();
        token.expires_at = Some(entry.expires_at());
        let url = format!("{origin}{}?ticket={ticket}", accept::PATH);
        token.ticket = Ticket::new(Some(&ticket), Some(&url));
        self.by_id.insert(id, self.minted.len());
        self.by_ticket.insert(ticket, self.minted.len());
        self.minted.push(entry);
        Ok(token)
    }

    /// Revokes a pending token, also if it has expired.
    fn revoke(&mut self, id: &ActorTokenId) -> Result<ActorToken, Error> {
        let now = self.now();
        let index = self.by_id.get(id);
        let Some(entry) = index.and_then(|index| self.minted.get_mut(*index)) else {
            return Err(not_found("No actor token was found with this id."));
        };
        if entry.status == ActorTokenStatus::Pending {
            return Ok(entry.end(ActorTokenStatus::Revoked, now));
        }
        let entry = ClerkError::cannot_be_revoked(&entry.status);
        Err(refusal(StatusCode::BAD_REQUEST, entry))
    }

    pub(super) fn accept(&mut self, ticket: &str) -> Result<ActorToken, AcceptError> {
        let now = self.now();
        let index = self.by_ticket.get(ticket);
        let entry = index.and_then(|index| self.minted.get_mut(*index));
        let entry = entry.ok_or(AcceptError::Unknown)?;
        match entry.status {
            ActorTokenStatus::Revoked => Err(AcceptError::Revoked),
            ActorTokenStatus::Accepted => Err(AcceptError::AlreadyAccepted),
            _ if now >= entry.expires_at() => Err(AcceptError::Expired),
            _ => {
                #[cfg(feature = "sessions")]
                entry.begin_session(now);
                Ok(entry.end(ActorTokenStatus::Accepted, now))
            }
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        let now = self.now();
        let mut entries = self.minted.clone();
        for entry in &mut entries {
            entry.has_expired = now >= entry.expires_at();
            #[cfg(feature = "sessions")]
            entry.expire_session(now);
        }
        Ledger { entries }
    }
}

pub(super) fn random(len: usize) -> String {
    (0..len).map(|_| fastrand::alphanumeric()).collect()
}

pub(super) fn not_found(sentence: &str) -> Error {
    let entry = ClerkError::new("resource_not_found", "not found", sentence);
    refusal(StatusCode::NOT_FOUND, entry)
}

pub(super) fn too_many_requests(wait: Duration) -> Error {
    let (code, message) = ("too_many_requests", "too many requests");
    let entry = ClerkError::new(code, message, "Too many requests. Please try again later.");
    refusal(StatusCode::TOO_MANY_REQUESTS, entry).with_retry_after(wait)
}
