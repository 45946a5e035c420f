//! [`RetryConfig`], how often and how patiently a call is tried.

use std::time::Duration;

/// How often and how patiently a call is tried.
///
/// What is retried follows from the evidence of each attempt, see
/// [`RetryLayer`](crate::layer::RetryLayer); this type says how often, after which pauses, and up to
/// which bounds. The pause before retry *n* is drawn evenly from zero to
/// `initial_interval × exponent^(n−1)`, at most `max_interval`.
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::RetryConfig;
///
/// let patient = RetryConfig::default().max_attempts(5).max_interval(Duration::from_secs(20));
/// assert_eq!(RetryConfig::disabled(), RetryConfig::default().max_attempts(1));
/// # let _ = patient;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    pub(crate) max_attempts: u32,
    pub(crate) initial_interval: Duration,
    pub(crate) max_interval: Duration,
    pub(crate) exponent: f64,
    pub(crate) max_elapsed: Option<Duration>,
    pub(crate) max_retry_after: Duration,
    pub(crate) retry_connection_errors: bool,
    pub(crate) replay_unknown_create: bool,
    pub(crate) retry_settled_timeouts: bool,
    pub(crate) budget: bool,
}

impl Default for RetryConfig {
    /// 3 attempts, pauses from 100 ms doubling up to 5 s, a `Retry-After` of up to 10 s honoured.
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_interval: Duration::from_millis(100),
            max_interval: Duration::from_secs(5),
            exponent: 2.0,
            max_elapsed: None,
            max_retry_after: Duration::from_secs(10),
            retry_connection_errors: true,
            replay_unknown_create: false,
            retry_settled_timeouts: false,
            budget: true,
        }
    }
}

impl RetryConfig {
    /// One attempt a call, never a second.
    #[must_use]
    pub fn disabled() -> Self {
        Self::default().max_attempts(1)
    }

    /// **Dangerous.** The parameters that Clerk's Python SDK uses by default: pauses from 500 ms
    /// growing by half up to 60 s, for up to an hour, after every 5xx, connection error and time-out,
    /// creates included, and without a budget.
    ///
    /// One create may so mint many tokens, all but the last of them live sign-in links that nobody
    /// knows of; see [`replay_unknown_create`](Self::replay_unknown_create). It is here for who must
    /// behave alike. The client's call time-out still bounds the whole, 30 s by default.
    #[must_use]
    pub fn python_sdk() -> Self {
        Self::default()
            .max_attempts(u32::MAX)
            .initial_interval(Duration::from_millis(500))
            .max_interval(Duration::from_secs(60))
            .exponent(1.5)
            .max_elapsed(Duration::from_secs(3600))
            .max_retry_after(Duration::from_secs(60))
            .replay_unknown_create(true)
            .budget(false)
    }

    /// The most attempts of one call, the first included. Default: 3. Zero means one.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The longest pause before the first retry. Default: 100 ms.
    #[must_use]
    pub fn initial_interval(mut self, interval: Duration) -> Self {
        self.initial_interval = interval;
        self
    }

    /// The longest pause before any retry. Default: 5 s.
    #[must_use]
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.max_interval = interval;
        self
    }

    /// By how much the longest pause grows from retry to retry. Default: 2. What is below one, or
    /// not a number, means one.
    #[must_use]
    pub fn exponent(mut self, exponent: f64) -> Self {
        self.exponent = if exponent >= 1.0 { exponent } else { 1.0 };
        self
    }

    /// No retry begins later than this after the call reached the retry layer. Default: none; the
    /// call's time-out bounds it all the same.
    #[must_use]
    pub fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = Some(elapsed);
        self
    }

    /// The longest `Retry-After` that is waited for; a longer one ends the call at once, with
    /// [`Error::retry_after`](crate::Error::retry_after) set. Default: 10 s.
    #[must_use]
    pub fn max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// Whether an attempt that failed before anything was sent (refused, unresolved, connect
    /// time-out) is retried. Default: true.
    #[must_use]
    pub fn retry_connection_errors(mut self, retry: bool) -> Self {
        self.retry_connection_errors = retry;
        self
    }

    /// **Dangerous.** Whether a create whose outcome is unknown is sent again. Default: false.
    ///
    /// Each such repeat may mint one more live sign-in link that nobody knows of. There is no
    /// idempotency key and no way to list tokens: what was minted unseen stays usable until it
    /// expires.
    #[must_use]
    pub fn replay_unknown_create(mut self, replay: bool) -> Self {
        self.replay_unknown_create = replay;
        self
    }

    /// Whether a create whose attempt timed out is tried again when the
    /// [settle layer](crate::layer::SettleLayer) holds the lost attempt: should that still mint a
    /// token, it is revoked. Default: false.
    ///
    /// Until then two tokens may live at a time, and the lost one counts against the quota of the
    /// plan. One whose answer is lost, too, is reported and lives until it expires.
    #[must_use]
    pub fn retry_settled_timeouts(mut self, retry: bool) -> Self {
        self.retry_settled_timeouts = retry;
        self
    }

    /// Whether retries are taken from the budget that all clones of a client share: ten, and one more
    /// for every ten successes. With nothing left, failures come through as they are, flagged by
    /// [`Error::is_out_of_budget`](crate::Error::is_out_of_budget). Default: true.
    #[must_use]
    pub fn budget(mut self, budget: bool) -> Self {
        self.budget = budget;
        self
    }

    /// The longest pause before retry number `retry`, counted from one.
    pub(crate) fn ceiling(&self, retry: u32) -> Duration {
        // Zero stays zero, whatever it grows by: times infinity it would be no number.
        if self.initial_interval.is_zero() {
            return Duration::ZERO;
        }
        let factor = self
            .exponent
            .powi(i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX));
        let seconds = self.initial_interval.as_secs_f64() * factor;
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(Duration::MAX)
            .min(self.max_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_grow_up_to_the_cap() {
        let config = RetryConfig::default();
        let ceilings = [1, 2, 3, 7, 1000, u32::MAX].map(|retry| config.ceiling(retry).as_millis());
        assert_eq!(ceilings, [100, 200, 400, 5000, 5000, 5000]);
    }

    #[test]
    fn odd_numbers_are_survived() {
        let nan = RetryConfig::default()
            .exponent(f64::NAN)
            .initial_interval(Duration::MAX);
        assert_eq!(nan.ceiling(9), Duration::from_secs(5));
        let zero = RetryConfig::default()
            .initial_interval(Duration::ZERO)
            .exponent(f64::INFINITY);
        assert_eq!(
            [1, 2, 9].map(|retry| zero.ceiling(retry)),
            [Duration::ZERO; 3]
        );
        assert_eq!(RetryConfig::default().max_attempts(0).max_attempts, 1);
    }
}
