//! [`Policy`], the retry policy: verdict, backoff and budget.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode};
use tokio::time::{Instant, Sleep};

use super::budget::Budget;
use crate::{BoxError, Error, ErrorKind, OperationKind, Outcome, Payload, RetryConfig, telemetry};

/// The decision about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Another attempt follows, if number, time and budget allow it.
    Retry,
    /// The call fails with this error.
    Stop,
}

/// A user's function that replaces a verdict.
#[derive(Clone)]
pub(crate) struct Classifier(pub(crate) Arc<Classify>);

type Classify = dyn Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync;

crate::text::opaque_debug!(Classifier);

/// The retry policy: the settings of all calls, and the state of one. [`tower::retry::Retry`] clones it
/// for every call.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    settings: Arc<Settings>,
    /// The retries of this call.
    retries: u32,
    /// A create was retried although an earlier attempt may have had an effect.
    accepts_doubt: bool,
    /// This call was retried because its key may have been rotated.
    key_renewed: bool,
    /// The begin of the call, if [`RetryConfig::max_elapsed`] bounds it.
    begun: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Settings {
    config: Arc<RetryConfig>,
    classifier: Option<Classifier>,
    budget: Arc<Budget>,
}

impl Policy {
    pub(super) fn new(config: RetryConfig, classifier: Option<Classifier>) -> Self {
        let settings = Settings {
            config: Arc::new(config),
            classifier,
            budget: Arc::default(),
        };
        Self {
            settings: Arc::new(settings),
            retries: 0,
            accepts_doubt: false,
            key_renewed: false,
            begun: None,
        }
    }

    pub(super) fn set_classifier(&mut self, classifier: Classifier) {
        Arc::make_mut(&mut self.settings).classifier = Some(classifier);
    }

    fn config<'a>(&'a self, payload: &'a Payload) -> &'a Arc<RetryConfig> {
        let own = payload.options().and_then(|options| options.retry.as_ref());
        own.unwrap_or(&self.settings.config)
    }

    /// Returns the time of the next attempt; `None` if the call fails with `error`.
    fn next_attempt(&mut self, payload: &Payload, error: &mut BoxError) -> Option<Instant> {
        let config = Arc::clone(self.config(payload));
        if self.retries.saturating_add(1) >= config.max_attempts {
            return None;
        }
        let (verdict, backoff) = if self.hides_doubt(payload, error, &config) {
            (Verdict::Stop, None)
        } else if self.may_renew_key(error) {
            (Verdict::Retry, Some(Duration::ZERO))
        } else {
            (verdict(error, payload.kind(), &config), None)
        };
        if self.classified(verdict, error, payload.kind()) == Verdict::Stop {
            return None;
        }
        let backoff = backoff.or_else(|| self.backoff(error, &config))?;
        let at = Instant::now().checked_add(backoff)?;
        // A backoff past the deadline would replace the error by a timeout.
        let elapsed = self.begun.zip(config.max_elapsed);
        let end = elapsed.and_then(|(begun, limit)| begun.checked_add(limit));
        if end.into_iter().chain(payload.deadline()).any(|it| at >= it) {
            return None;
        }
        let is_allowed = !config.budget || self.settings.budget.withdraw();
        self.note_budget(&config);
        if !is_allowed {
            if let Some(error) = error.downcast_mut::<Error>() {
                error.details.out_of_budget = true;
            }
            return None;
        }
        self.retries += 1;
        self.accepts_doubt |= !payload.parts.record.outcome().is_without_effect();
        telemetry::retrying(payload.kind(), error, self.retries, backoff);
        Some(at)
    }

    /// Returns whether an earlier attempt of a create may have had an effect that `error` does not show.
    /// An attempt layer can make several attempts and return the error of one.
    fn hides_doubt(&self, payload: &Payload, error: &BoxError, config: &RetryConfig) -> bool {
        let is_doubted = payload.kind() == OperationKind::Create
            && !self.accepts_doubt
            && !config.replay_unknown_create
            && !payload.parts.record.outcome().is_without_effect();
        let error = error.downcast_ref::<Error>();
        is_doubted && error.is_some_and(|error| error.outcome().is_without_effect())
    }

    /// Returns the verdict of the user's classifier, if there is one.
    fn classified(&self, verdict: Verdict, error: &BoxError, kind: OperationKind) -> Verdict {
        match (&self.settings.classifier, error.downcast_ref::<Error>()) {
            (Some(Classifier(classify)), Some(error)) => classify(error, kind, verdict),
            _ => verdict,
        }
    }

    /// Returns whether the attempt had no effect because the API refused a key that may have been rotated;
    /// true once per call.
    fn may_renew_key(&mut self, error: &BoxError) -> bool {
        let is_stale = error
            .downcast_ref::<Error>()
            .is_some_and(|error| error.details.stale_key && error.outcome().is_without_effect());
        is_stale && !std::mem::replace(&mut self.key_renewed, true)
    }

    /// Returns the `Retry-After`, or a backoff with full jitter; `None` if `Retry-After` is too long.
    fn backoff(&self, error: &BoxError, config: &RetryConfig) -> Option<Duration> {
        match error.downcast_ref::<Error>().and_then(Error::retry_after) {
            Some(wait) if !wait.is_zero() => (wait <= config.max_retry_after).then_some(wait),
            _ => Some(config.ceiling(self.retries + 1).mul_f64(fastrand::f64())),
        }
    }

    fn note_budget(&self, config: &RetryConfig) {
        if config.budget {
            telemetry::retry_budget_left(|| self.settings.budget.left());
        }
    }
}

impl<T> tower::retry::Policy<Request<Payload>, T, BoxError> for Policy {
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Payload>,
        result: &mut Result<T, BoxError>,
    ) -> Option<Sleep> {
        match result {
            Ok(_) => {
                self.settings.budget.deposit();
                self.note_budget(self.config(request.body()));
                None
            }
            Err(error) => {
                let at = self.next_attempt(request.body(), error);
                if at.is_none() {
                    telemetry::rate_limited(request.body().kind(), error);
                }
                at.map(tokio::time::sleep_until)
            }
        }
    }

    /// Clones every request, because a `None` would hide the last result from [`retry`](Self::retry). The
    /// first clone of a call is made on the shared policy, directly before the policy is cloned.
    fn clone_request(&mut self, request: &Request<Payload>) -> Option<Request<Payload>> {
        if self.retries == 0 {
            let limit = self.config(request.body()).max_elapsed;
            self.begun = limit.map(|_| Instant::now());
        }
        Some(request.clone())
    }
}

/// Returns whether the outcome of an attempt allows another one.
fn verdict(error: &BoxError, kind: OperationKind, config: &RetryConfig) -> Verdict {
    let typed = error.downcast_ref::<Error>();
    let is_settled = config.retry_settled_timeouts && typed.is_some_and(Error::is_settling);
    // An error of another type does not prove anything.
    let retry = match typed.map_or(Outcome::Unknown, Error::outcome) {
        Outcome::NotSent => {
            let is_final =
                |error: &Error| error.is_permanent() || error.kind() == ErrorKind::Overloaded;
            let is_final = typed.is_some_and(is_final);
            match typed.and_then(Error::status) {
                // A layer returned this status before the request was sent.
                Some(status) if status.is_client_error() => !is_final && is_temporary(Some(status)),
                _ => !is_final && config.retry_connection_errors,
            }
        }
        Outcome::Rejected => typed.is_some_and(|error| {
            error.kind() == ErrorKind::NotRevoked || is_temporary(error.status())
        }),
        Outcome::Unknown => match kind {
            OperationKind::Create => is_settled || config.replay_unknown_create,
            OperationKind::Revoke => true,
            #[cfg(feature = "sessions")]
            OperationKind::ListSessions | OperationKind::EndSession => true,
        },
        Outcome::Applied => is_settled,
    };
    if retry { Verdict::Retry } else { Verdict::Stop }
}

/// Returns whether a rejection is temporary. A rejection without a status is one of an HTTP/2 peer.
fn is_temporary(status: Option<StatusCode>) -> bool {
    const TEMPORARY: [StatusCode; 3] = [
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_none_or(|status| TEMPORARY.contains(&status))
}
