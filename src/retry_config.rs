//! [`RetryConfig`], how often a call is tried and how long it pauses in between.

use std::time::Duration;

/// How often a call is tried and how long it pauses in between.
///
/// [`RetryLayer`](crate::layer::RetryLayer) decides by the evidence of each attempt whether it is retried.
/// The pause before retry *n* is drawn evenly from zero to `initial_interval × exponent^(n−1)`, at most
/// `max_interval`.
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
    /// One attempt a call.
    #[must_use]
    pub fn disabled() -> Self {
        Self::default().max_attempts(1)
    }

    /// **Dangerous.** The defaults of Clerk's Python SDK: pauses from 500 ms growing by half up to 60 s, for
    /// up to an hour, after every 5xx, connection error and timeout, creates included, and without a budget.
    ///
    /// One create may so mint several live sign-in links, see
    /// [`replay_unknown_create`](Self::replay_unknown_create). Unlike the SDK, a call makes at most 10
    /// attempts. Their pauses take up to 37 s, so with the call's default timeout of 30 s this number is
    /// rarely reached; with a longer one, it bounds how many links a create can mint.
    #[must_use]
    pub fn python_sdk() -> Self {
        Self {
            max_attempts: 10,
            initial_interval: Duration::from_millis(500),
            max_interval: Duration::from_secs(60),
            exponent: 1.5,
            max_elapsed: Some(Duration::from_secs(3600)),
            max_retry_after: Duration::from_secs(60),
            replay_unknown_create: true,
            budget: false,
            ..Self::default()
        }
    }

    /// Sets the most attempts of one call, the first included. Default: 3. Zero means one.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Sets the longest pause before the first retry. Default: 100 ms.
    #[must_use]
    pub fn initial_interval(mut self, interval: Duration) -> Self {
        self.initial_interval = interval;
        self
    }

    /// Sets the longest pause before any retry. Default: 5 s.
    #[must_use]
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.max_interval = interval;
        self
    }

    /// Sets the factor by which the longest pause grows with each retry. Default: 2. A value below one and
    /// NaN mean one.
    #[must_use]
    pub fn exponent(mut self, exponent: f64) -> Self {
        self.exponent = exponent.max(1.0);
        self
    }

    /// Sets the time after which no retry begins, counted from when the call reached the retry layer.
    /// Default: none; the call's timeout applies.
    #[must_use]
    pub fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = Some(elapsed);
        self
    }

    /// Sets the longest `Retry-After` that is waited for. A longer one ends the call at once, with
    /// [`Error::retry_after`](crate::Error::retry_after) set. Default: 10 s.
    #[must_use]
    pub fn max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// Sets whether an attempt is retried that failed before anything was sent: refused, unresolved, or a
    /// connect timeout. Default: true.
    #[must_use]
    pub fn retry_connection_errors(mut self, retry: bool) -> Self {
        self.retry_connection_errors = retry;
        self
    }

    /// **Dangerous.** Sets whether a create whose outcome is unknown is sent again. Default: false.
    ///
    /// Each repeat may mint one more live sign-in link that no caller has. There is no idempotency key and no
    /// way to list tokens, so such a token can be used until it expires.
    #[must_use]
    pub fn replay_unknown_create(mut self, replay: bool) -> Self {
        self.replay_unknown_create = replay;
        self
    }

    /// Sets whether a create whose attempt timed out is retried while the
    /// [settle layer](crate::layer::SettleLayer) follows the lost attempt and revokes what it mints. Default:
    /// false.
    ///
    /// Two tokens may then be live at a time, and the lost one counts against the quota of the plan. If its
    /// response is lost as well, it is reported and lives until it expires.
    #[must_use]
    pub fn retry_settled_timeouts(mut self, retry: bool) -> Self {
        self.retry_settled_timeouts = retry;
        self
    }

    /// Sets whether retries are taken from the budget that all clones of a client share: ten, and one more
    /// for every ten successes. A call that fails while it is exhausted has
    /// [`Error::is_out_of_budget`](crate::Error::is_out_of_budget). Default: true.
    #[must_use]
    pub fn budget(mut self, budget: bool) -> Self {
        self.budget = budget;
        self
    }

    /// The longest pause before retry number `retry`, counted from one.
    pub(crate) fn ceiling(&self, retry: u32) -> Duration {
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial_interval.as_secs_f64() * self.exponent.powi(exponent);
        match Duration::try_from_secs_f64(seconds) {
            Ok(pause) => pause.min(self.max_interval),
            // Zero times infinity is not a number.
            Err(_) if self.initial_interval.is_zero() => Duration::ZERO,
            Err(_) => self.max_interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_grow_up_to_the_longest_pause() {
        let default = RetryConfig::default();
        let endless = default.clone().exponent(f64::NAN);
        let endless = endless.initial_interval(Duration::MAX);
        let zero = default.clone().initial_interval(Duration::ZERO);
        let zero = zero.exponent(f64::INFINITY);
        for (config, millis) in [
            (default, [100, 200, 400, 5000, 5000, 5000]),
            (endless, [5000; 6]),
            (zero, [0; 6]),
        ] {
            let ceiling = |retry| config.ceiling(retry).as_millis();
            assert_eq!([1, 2, 3, 7, 1000, u32::MAX].map(ceiling), millis);
        }
    }
}
