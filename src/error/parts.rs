//! What layers say of an [`Error`].

use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::{BoxError, Error};
use crate::{ActorTokenId, ClerkErrors, Outcome};

impl Error {
    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Marks a failure that another attempt would only repeat.
    pub(crate) fn permanent(mut self, permanent: bool) -> Self {
        self.0.permanent = permanent;
        self
    }

    /// Marks a refusal of a key in whose place another may be had by now.
    pub(crate) fn with_stale_key(mut self, stale: bool) -> Self {
        self.0.stale_key = stale;
        self
    }

    /// Marks a failure of which the settle layer takes care.
    pub(crate) fn with_settling(mut self, settling: bool) -> Self {
        self.0.settling = settling;
        self
    }

    /// Marks an answer that names the token of somebody else.
    pub(crate) fn with_foreign_token(mut self) -> Self {
        self.0.foreign_token = true;
        self
    }

    pub(crate) fn with_exposed_until(mut self, until: Option<SystemTime>) -> Self {
        self.0.exposed_until = until;
        self
    }

    /// Marks a failure that would have been retried, had the budget allowed it.
    pub(crate) fn mark_out_of_budget(&mut self) {
        self.0.out_of_budget = true;
    }

    #[cfg(feature = "server")]
    pub(crate) fn has_foreign_token(&self) -> bool {
        self.0.foreign_token
    }

    pub(crate) fn has_stale_key(&self) -> bool {
        self.0.stale_key
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_clerk_errors(mut self, errors: ClerkErrors) -> Self {
        self.0.clerk_errors = Some(errors);
        self
    }

    pub(crate) fn with_trace_id(mut self, trace_id: Option<String>) -> Self {
        self.0.trace_id = trace_id;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    pub(crate) fn with_actor_token_id(mut self, id: Option<ActorTokenId>) -> Self {
        self.0.actor_token_id = id;
        self
    }

    /// What exactly happened, in a few words that hold no credential.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }
}
