//! [`Policy`], the retry policy: verdict, backoff and budget.

use std::{fmt, sync::Arc, time::Duration};

use http::{Request, StatusCode};
use tokio::time::{Instant, Sleep};

use super::budget::Budget;
use crate::{BoxError, Error, ErrorKind, OperationKind, Outcome, Payload, RetryConfig, telemetry};

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Another attempt may follow, if number, time and budget allow it.
    Retry,
    /// The call fails with this error.
    Stop,
}

/// A user's function that replaces a verdict.
#[derive(Clone)]
pub(crate) struct Classifier(Arc<Classify>);

type Classify = dyn Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync;

impl Classifier {
    pub(crate) fn new<F>(classifier: F) -> Self
    where
        F: Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync + 'static,
    {
        Self(Arc::new(classifier))
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Classifier")
    }
}

/// The retry policy. [`tower::retry::Retry`] clones it for every call, so it holds the state of one
/// call beside the settings of all.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    settings: Arc<Settings>,
    /// How many attempts of this call were retried.
    retries: u32,
    /// A create was retried although an earlier attempt may have had an effect.
    accepts_doubt: bool,
    /// A refused key was replaced once in this call.
    key_renewed: bool,
    /// When the call began, if [`RetryConfig::max_elapsed`] bounds it.
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

    /// Returns when the next attempt begins; `None` if the call fails with `error`.
    fn next_attempt(&mut self, payload: &Payload, error: &mut BoxError) -> Option<Instant> {
        let config = Arc::clone(self.config(payload));
        if self.retries.saturating_add(1) >= config.max_attempts {
            return None;
        }
        let hides_doubt = self.hides_doubt(payload, error, &config);
        let renews_key = !hides_doubt && self.may_renew_key(error);
        let verdict = if renews_key {
            Verdict::Retry
        } else if hides_doubt {
            Verdict::Stop
        } else {
            verdict(error, payload.kind(), &config)
        };
        if self.classified(verdict, error, payload.kind()) == Verdict::Stop {
            return None;
        }
        let pause = if renews_key {
            Duration::ZERO
        } else {
            self.pause(error, &config)?
        };
        let at = Instant::now().checked_add(pause)?;
        // A sleep past the deadline would hide the error behind a timeout.
        let elapsed = self.begun.zip(config.max_elapsed);
        let end = elapsed.and_then(|(begun, limit)| begun.checked_add(limit));
        if end.into_iter().chain(payload.deadline()).any(|it| at >= it) {
            return None;
        }
        let is_allowed = !config.budget || self.settings.budget.withdraw();
        self.note_budget(&config);
        if !is_allowed {
            if let Some(error) = error.downcast_mut::<Error>() {
                error.mark_out_of_budget();
            }
            return None;
        }
        self.retries += 1;
        self.accepts_doubt |= !payload.record().outcome().is_without_effect();
        telemetry::retrying(payload.kind(), error, self.retries, pause);
        Some(at)
    }

    /// Returns whether an earlier attempt of a create may have had an effect that `error` does not show,
    /// because an attempt layer made several attempts and returned the error of one.
    fn hides_doubt(&self, payload: &Payload, error: &BoxError, config: &RetryConfig) -> bool {
        let is_doubted = payload.kind() == OperationKind::Create
            && !self.accepts_doubt
            && !config.replay_unknown_create
            && !payload.record().outcome().is_without_effect();
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

    /// Returns whether the API refused a key that may have been rotated, and the attempt had no other
    /// effect; true once a call.
    fn may_renew_key(&mut self, error: &BoxError) -> bool {
        let is_stale = error
            .downcast_ref::<Error>()
            .is_some_and(|error| error.has_stale_key() && error.outcome().is_without_effect());
        is_stale && !std::mem::replace(&mut self.key_renewed, true)
    }

    /// Returns the `Retry-After`, or a backoff with full jitter; `None` if `Retry-After` is too long.
    fn pause(&self, error: &BoxError, config: &RetryConfig) -> Option<Duration> {
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

    /// Clones every request: a `None` would hide the last result from [`retry`](Self::retry). The first
    /// clone of a call is made on the policy of all calls, directly before that is cloned for the call.
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
    // An error of another type proves nothing.
    let retry = match typed.map_or(Outcome::Unknown, Error::outcome) {
        Outcome::NotSent => {
            let is_final =
                |error: &Error| error.is_permanent() || error.kind() == ErrorKind::Overloaded;
            let is_final = typed.is_some_and(is_final);
            match typed.and_then(Error::status) {
                // A layer responded before the request was sent.
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

/// Returns whether a rejection is temporary. One without a status is an HTTP/2 peer's.
fn is_temporary(status: Option<StatusCode>) -> bool {
    const TEMPORARY: [StatusCode; 3] = [
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_none_or(|status| TEMPORARY.contains(&status))
}

#[cfg(test)]
mod tests {
    use Verdict::{Retry, Stop};

    use super::*;
    use crate::ClerkErrors;

    fn both(error: impl Fn() -> Error) -> [Verdict; 2] {
        [OperationKind::Create, OperationKind::Revoke]
            .map(|kind| verdict(&error().into(), kind, &RetryConfig::default()))
    }

    fn status(status: u16) -> [Verdict; 2] {
        let status = StatusCode::from_u16(status).unwrap();
        both(|| Error::api(status, ClerkErrors::default()))
    }

    #[test]
    fn verdicts_follow_the_table() {
        let of = |kind, outcome| both(move || Error::new(kind, outcome));
        assert_eq!(of(ErrorKind::Connect, Outcome::NotSent), [Retry, Retry]);
        assert_eq!(of(ErrorKind::Transport, Outcome::Rejected), [Retry, Retry]);
        assert_eq!(of(ErrorKind::Transport, Outcome::Unknown), [Stop, Retry]);
        assert_eq!(of(ErrorKind::Timeout, Outcome::Unknown), [Stop, Retry]);
        assert_eq!(
            of(ErrorKind::UnreadableResponse, Outcome::Applied),
            [Stop, Stop]
        );
        let certificate = || Error::new(ErrorKind::Connect, Outcome::NotSent).permanent(true);
        assert_eq!(both(certificate), [Stop, Stop]);
        for code in [421, 425, 429] {
            assert_eq!(status(code), [Retry, Retry], "{code}");
        }
        for code in [400, 401, 402, 403, 404, 409, 413, 415, 422] {
            assert_eq!(status(code), [Stop, Stop], "{code}");
        }
        for code in [408, 460, 499, 500, 502, 503, 504] {
            assert_eq!(status(code), [Stop, Retry], "{code}");
        }
        assert_eq!(of(ErrorKind::NotRevoked, Outcome::Rejected)[1], Retry);
        for (code, expected) in [(400, Stop), (429, Retry), (503, Retry)] {
            let status = StatusCode::from_u16(code).unwrap();
            let unsent =
                || Error::api(status, ClerkErrors::default()).with_outcome(Outcome::NotSent);
            assert_eq!(both(unsent), [expected; 2], "{code}");
        }
    }

    #[test]
    fn untyped_error_counts_as_unknown() {
        let error = BoxError::from("a layer's own");
        assert_eq!(
            verdict(&error, OperationKind::Create, &RetryConfig::default()),
            Stop
        );
        assert_eq!(
            verdict(&error, OperationKind::Revoke, &RetryConfig::default()),
            Retry
        );
    }

    fn payload() -> Payload {
        Payload::new(OperationKind::Revoke, "")
    }

    fn policy(config: RetryConfig) -> Policy {
        let mut policy = Policy::new(config, None);
        let request = Request::new(payload());
        let cloned = tower::retry::Policy::<_, (), _>::clone_request(&mut policy, &request);
        assert!(cloned.is_some());
        policy
    }

    fn failure(retry_after: Option<u64>) -> BoxError {
        Error::new(ErrorKind::Api, Outcome::Rejected)
            .with_retry_after(retry_after.map(Duration::from_secs))
            .into()
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured_up_to_the_cap() {
        let mut policy = policy(RetryConfig::default().max_attempts(9));
        let at = policy.next_attempt(&payload(), &mut failure(Some(10)));
        assert_eq!(at, Some(Instant::now() + Duration::from_secs(10)));
        let at = policy.next_attempt(&payload(), &mut failure(Some(11)));
        assert_eq!(at, None);
    }

    #[tokio::test(start_paused = true)]
    async fn create_is_not_retried_when_its_error_hides_an_earlier_attempt() {
        let payload = Payload::new(OperationKind::Create, "{}");
        payload.clone().begin_attempt().into_bytes().unwrap();
        let mut first = policy(RetryConfig::default());
        assert_eq!(first.next_attempt(&payload, &mut failure(None)), None);

        // What the configuration accepts once, it accepts for the rest of the call.
        let settled = Error::new(ErrorKind::Timeout, Outcome::Unknown).with_settling(true);
        let mut accepting = policy(RetryConfig::default().retry_settled_timeouts(true));
        let at = accepting.next_attempt(&payload, &mut settled.into());
        assert!(at.is_some());
        let at = accepting.next_attempt(&payload, &mut failure(None));
        assert!(at.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_past_the_deadline_is_not_begun() {
        let mut policy = policy(RetryConfig::default().max_elapsed(Duration::from_secs(5)));
        let at = policy.next_attempt(&payload(), &mut failure(Some(5)));
        assert_eq!(at, None);
        let at = policy.next_attempt(&payload(), &mut failure(Some(4)));
        assert!(at.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_is_drawn_from_zero_to_the_ceiling() {
        let config = RetryConfig::default()
            .max_attempts(2)
            .initial_interval(Duration::from_secs(1));
        let pauses: Vec<_> = (0..200)
            .map(|_| policy(config.clone()).next_attempt(&payload(), &mut failure(None)))
            .map(|at| at.unwrap() - Instant::now())
            .collect();
        let (quarter, whole) = (Duration::from_millis(250), Duration::from_secs(1));
        assert!(pauses.iter().all(|pause| *pause <= whole));
        assert!(pauses.iter().any(|pause| *pause < quarter));
        assert!(pauses.iter().any(|pause| *pause > 3 * quarter));
    }

    #[tokio::test(start_paused = true)]
    async fn key_is_renewed_once_and_only_without_effect() {
        let refused = |outcome| -> BoxError {
            let error = Error::new(ErrorKind::Api, outcome);
            error
                .with_stale_key(true)
                .with_status(StatusCode::UNAUTHORIZED)
                .into()
        };
        let create = Payload::new(OperationKind::Create, "");
        let mut policy = policy(RetryConfig::default());
        for outcome in [Outcome::Unknown, Outcome::Applied] {
            assert_eq!(policy.next_attempt(&create, &mut refused(outcome)), None);
        }
        let mut rejected = refused(Outcome::Rejected);
        let at = policy.next_attempt(&create, &mut rejected);
        assert_eq!(at, Some(Instant::now()));
        assert_eq!(policy.next_attempt(&create, &mut rejected), None);
    }
}
