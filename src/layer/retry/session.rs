//! [`Session`], what decides about the next attempt of one call.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    policy::Policy,
    verdict::{Verdict, verdict},
};
use crate::{Body, BoxError, Error, OperationKind, RetryConfig, telemetry};

/// What decides about the next attempt of one call.
#[derive(Debug)]
pub(super) struct Session {
    policy: Arc<Policy>,
    /// The call's own configuration.
    own: Option<Arc<RetryConfig>>,
    kind: OperationKind,
    retries: u32,
    key_renewed: bool,
    /// No attempt begins after this.
    end: Option<Instant>,
}

impl Session {
    pub(super) fn new(policy: &Arc<Policy>, body: &Body) -> Self {
        let own = body
            .content()
            .options()
            .and_then(|options| options.retry.clone());
        let elapsed = own
            .as_deref()
            .unwrap_or(&policy.config)
            .max_elapsed
            .and_then(|elapsed| Instant::now().checked_add(elapsed));
        let end = elapsed.into_iter().chain(body.content().deadline()).min();
        Self {
            policy: Arc::clone(policy),
            own,
            kind: body.kind(),
            retries: 0,
            key_renewed: false,
            end,
        }
    }

    fn config(&self) -> &RetryConfig {
        self.own.as_deref().unwrap_or(&self.policy.config)
    }

    /// Whether the number of attempts allows one more.
    pub(super) fn may_go_on(&self) -> bool {
        self.retries.saturating_add(1) < self.config().max_attempts
    }

    pub(super) fn succeeded(&self) {
        self.policy.budget.deposit();
        self.tell_budget();
    }

    /// What is left of a budget that nothing is taken from tells nobody anything.
    fn tell_budget(&self) {
        if self.config().budget {
            telemetry::retry_budget_left(|| self.policy.budget.left());
        }
    }

    /// Whether the time for attempts is over.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// No attempt begins from then on.
    pub(super) fn end(&self) -> Option<Instant> {
        self.end
    }

    /// Nothing follows.
    pub(super) fn failed(&self, error: &BoxError) {
        telemetry::rate_limited(self.kind, error);
    }

    /// When the next attempt begins; `None` when `error` is the call's last word.
    pub(super) fn next_attempt_at(&mut self, error: &mut BoxError) -> Option<Instant> {
        if !self.may_go_on() {
            return None;
        }
        let renews_key = self.may_renew_key(error);
        let verdict = if renews_key {
            Verdict::Retry
        } else {
            verdict(error, self.kind, self.config())
        };
        if self.policy.overruled(verdict, error, self.kind) == Verdict::Stop {
            return None;
        }
        let pause = if renews_key {
            Duration::ZERO
        } else {
            self.pause(error)?
        };
        let at = Instant::now().checked_add(pause)?;
        // A pause that outlasts the call would end it with a time-out in place of its reason.
        if self.end.is_some_and(|end| at >= end) {
            return None;
        }
        let allowed = !self.config().budget || self.policy.budget.withdraw();
        self.tell_budget();
        if !allowed {
            if let Some(error) = error.downcast_mut::<Error>() {
                error.mark_out_of_budget();
            }
            return None;
        }
        self.retries += 1;
        telemetry::retrying(self.kind, error, self.retries, pause);
        Some(at)
    }

    /// Whether the API refused a key in whose place there may be another, and nothing else came of the
    /// attempt; true once a call.
    fn may_renew_key(&mut self, error: &BoxError) -> bool {
        let stale = error
            .downcast_ref::<Error>()
            .is_some_and(|error| error.has_stale_key() && error.outcome().is_without_effect());
        stale && !std::mem::replace(&mut self.key_renewed, true)
    }

    /// What the API asked for, or full jitter; `None` when the API asked for too much.
    fn pause(&self, error: &BoxError) -> Option<Duration> {
        match error.downcast_ref::<Error>().and_then(Error::retry_after) {
            Some(wait) => (wait <= self.config().max_retry_after).then_some(wait),
            None => Some(
                self.config()
                    .ceiling(self.retries + 1)
                    .mul_f64(fastrand::f64()),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{ErrorKind, Outcome};

    fn session(config: RetryConfig) -> Session {
        let body = Body::new(OperationKind::Revoke, "");
        Session::new(&Arc::new(Policy::new(config)), &body)
    }

    fn failure(retry_after: Option<u64>) -> BoxError {
        Error::new(ErrorKind::Api, Outcome::Rejected)
            .with_retry_after(retry_after.map(Duration::from_secs))
            .into()
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_api_asks_for_is_waited_up_to_the_cap() {
        let mut session = session(RetryConfig::default().max_attempts(9));
        let at = session.next_attempt_at(&mut failure(Some(10)));
        assert_eq!(at, Some(Instant::now() + Duration::from_secs(10)));
        assert_eq!(session.next_attempt_at(&mut failure(Some(11))), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_outlasts_the_call() {
        let mut session = session(RetryConfig::default().max_elapsed(Duration::from_secs(5)));
        assert_eq!(session.next_attempt_at(&mut failure(Some(5))), None);
        assert!(session.next_attempt_at(&mut failure(Some(4))).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_are_drawn_from_zero_to_the_ceiling() {
        let config = RetryConfig::default()
            .max_attempts(2)
            .initial_interval(Duration::from_secs(1));
        let pauses: Vec<_> = (0..200)
            .map(|_| {
                session(config.clone())
                    .next_attempt_at(&mut failure(None))
                    .unwrap()
            })
            .map(|at| at - Instant::now())
            .collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(1)));
        assert!(
            pauses
                .iter()
                .any(|pause| *pause < Duration::from_millis(250))
        );
        assert!(
            pauses
                .iter()
                .any(|pause| *pause > Duration::from_millis(750))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_key_is_renewed_for_what_may_have_taken_effect() {
        let refused = |outcome| -> BoxError {
            let error = Error::new(ErrorKind::Api, outcome);
            error
                .with_stale_key(true)
                .with_status(StatusCode::UNAUTHORIZED)
                .into()
        };
        let body = Body::new(OperationKind::Create, "");
        let mut session = Session::new(&Arc::new(Policy::new(RetryConfig::default())), &body);
        for outcome in [Outcome::Unknown, Outcome::Applied] {
            assert_eq!(session.next_attempt_at(&mut refused(outcome)), None);
        }
        let at = session.next_attempt_at(&mut refused(Outcome::Rejected));
        assert_eq!(at, Some(Instant::now()));
        assert_eq!(
            session.next_attempt_at(&mut refused(Outcome::Rejected)),
            None
        );
    }

    #[test]
    fn attempts_are_counted_with_the_first() {
        assert!(!session(RetryConfig::disabled()).may_go_on());
        assert!(session(RetryConfig::default().max_attempts(2)).may_go_on());
    }
}
