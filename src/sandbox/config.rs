//! What a sandbox allows, and its answers to what it does not.

use std::{collections::HashSet, time::Duration};

use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::{ClerkError, ClerkErrors, CreateActorToken, Error, SecretKey};

/// The key that is accepted unless another is set.
const KEY: &str = "sk_test_sandbox";

/// What a sandbox allows.
pub(super) struct Config {
    pub(super) key: SecretKey,
    pub(super) known_users: Option<HashSet<String>>,
    pub(super) quota: Option<u32>,
    pub(super) impersonation: bool,
    rate_limit: Option<RateLimit>,
}

/// A window of a fixed length, and how much of it is used.
struct RateLimit {
    requests: u32,
    per: Duration,
    begun: Instant,
    used: u32,
}

impl Config {
    pub(super) fn new() -> Self {
        Self {
            key: SecretKey::new(KEY).expect("the constant is a key"),
            known_users: None,
            quota: None,
            impersonation: true,
            rate_limit: None,
        }
    }

    pub(super) fn set_rate_limit(&mut self, requests: u32, per: Duration) {
        self.rate_limit = Some(RateLimit {
            requests,
            per,
            begun: Instant::now(),
            used: 0,
        });
    }

    /// Counts a request, if it is still within the limit.
    pub(super) fn check_rate(&mut self) -> Result<(), Error> {
        let Some(limit) = &mut self.rate_limit else {
            return Ok(());
        };
        let now = Instant::now();
        if now.saturating_duration_since(limit.begun) >= limit.per {
            (limit.begun, limit.used) = (now, 0);
        }
        if limit.used < limit.requests {
            limit.used += 1;
            return Ok(());
        }
        let wait = limit
            .per
            .saturating_sub(now.saturating_duration_since(limit.begun));
        let entry = too_many_requests();
        Err(error(StatusCode::TOO_MANY_REQUESTS, entry).try_again_in(wait))
    }

    /// Whether this may be minted when `used` tokens have been.
    pub(super) fn check_create(&self, create: &CreateActorToken, used: usize) -> Result<(), Error> {
        if !self.impersonation {
            let entry = ClerkError::new(
                "unsupported_subscription_plan_features",
                "unsupported plan features",
                "The plan of this instance does not include impersonation.",
            );
            let entry = entry.with_meta("unsupported_features", json!(["impersonation"]));
            return Err(error(StatusCode::PAYMENT_REQUIRED, entry));
        }
        let users = self.known_users.as_ref();
        if users.is_some_and(|users| !users.contains(create.user_id())) {
            return Err(not_found("No user was found with this id."));
        }
        match self.quota {
            Some(limit) if used >= limit as usize => {
                let entry = ClerkError::new(
                    "impersonation_limit_exceeded",
                    "impersonation limit exceeded",
                    "The plan of this instance has no impersonations left.",
                );
                let entry = entry.with_meta("limit", limit).with_meta("used", used);
                Err(error(StatusCode::UNPROCESSABLE_ENTITY, entry))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn too_many_requests() -> ClerkError {
    ClerkError::new(
        "too_many_requests",
        "too many requests",
        "Too many requests. Please try again later.",
    )
}

pub(super) fn not_found(long_message: &str) -> Error {
    let entry = ClerkError::new("resource_not_found", "not found", long_message);
    error(StatusCode::NOT_FOUND, entry)
}

/// The error of an answer with one entry.
pub(super) fn error(status: StatusCode, entry: ClerkError) -> Error {
    Error::api(status, ClerkErrors::new(entry))
}
