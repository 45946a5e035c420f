//! [`RetryConfig`], the number of attempts and the backoff between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The number of attempts of a call, and the backoff between them.
///
/// [`RetryLayer`](crate::layer::RetryLayer) decides by the outcome whether an attempt is retried. The
/// backoff before retry *n* is a random time up to `initial_interval × exponent^(n−1)`, at most
/// `max_interval`.
///
/// serde reads and writes an object with one field for each setter, durations in seconds. A missing field
/// has its default, and unknown fields are refused.
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::RetryConfig;
///
/// let config: RetryConfig = serde_json::from_str(r#"{"max_attempts": 5, "max_interval": 20}"#)?;
/// let five = RetryConfig::default().max_attempts(5);
/// assert_eq!(config, five.max_interval(Duration::from_secs(20)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) max_attempts: u32,
    #[serde(with = "seconds")]
    pub(crate) initial_interval: Duration,
    #[serde(with = "seconds")]
    pub(crate) max_interval: Duration,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) exponent: f64,
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub(crate) max_elapsed: Option<Duration>,
    #[serde(with = "seconds")]
    pub(crate) max_retry_after: Duration,
    pub(crate) retry_connection_errors: bool,
    pub(crate) replay_unknown_create: bool,
    pub(crate) retry_settled_timeouts: bool,
    pub(crate) budget: bool,
}

impl Default for RetryConfig {
    /// 3 attempts, backoff from 100 ms, doubled up to 5 s, and a `Retry-After` of up to 10 s.
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

macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

impl RetryConfig {
    /// One attempt per call.
    pub fn disabled() -> Self {
        Self::default().max_attempts(1)
    }

    /// **Dangerous.** The defaults of Clerk's Python SDK: retries for up to an hour after every 5xx,
    /// connection error and timeout, creates included, without a budget. The backoff begins at 500 ms and
    /// grows by half, up to 60 s. One create may mint several live sign-in links, see
    /// [`replay_unknown_create`](Self::replay_unknown_create).
    ///
    /// Unlike the SDK, a call makes at most 10 attempts. Their backoff takes up to 37 s, so the default call
    /// timeout of 30 s mostly ends a call earlier.
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

    /// Sets the largest number of attempts of a call, the first included. Default: 3. Zero means one.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Sets the factor by which the longest backoff grows with each retry. Default: 2. A value below one
    /// and NaN mean one.
    #[must_use]
    pub fn exponent(mut self, exponent: f64) -> Self {
        self.exponent = exponent.max(1.0);
        self
    }

    setters! {
        /// Sets the longest backoff before the first retry. Default: 100 ms.
        initial_interval: Duration;

        /// Sets the longest backoff before any retry. Default: 5 s.
        max_interval: Duration;

        /// Sets the time after which no retry begins, from when the call reached the retry layer. Default:
        /// none; the call's timeout applies.
        max_elapsed: Duration;

        /// Sets the longest `Retry-After` that a call waits for. After a longer one the call fails at once, with
        /// [`Error::retry_after`](crate::Error::retry_after) set. Default: 10 s.
        max_retry_after: Duration;

        /// Sets whether an attempt that failed before anything was sent is retried: a refused connection,
        /// an unresolved name, or a connect timeout. Default: true.
        retry_connection_errors: bool;

        /// **Dangerous.** Sets whether a create whose outcome is unknown is sent again. Default: false.
        ///
        /// Each repeat may mint another live sign-in link. No caller gets it, and it can be used until it
        /// expires.
        replay_unknown_create: bool;

        /// Sets whether a create is retried after its attempt timed out, if the
        /// [settle layer](crate::layer::SettleLayer) follows the attempt and revokes its token. Default: false.
        ///
        /// Two tokens may be live at a time, and both count against the quota of the plan. If the response of
        /// the lost attempt is lost too, its token is reported and can be used until it expires.
        retry_settled_timeouts: bool;

        /// Sets whether a budget limits the retries of all clones of a client: ten, and one more for every
        /// ten successes. See [`Error::is_out_of_budget`](crate::Error::is_out_of_budget). Default: true.
        budget: bool;
    }

    /// Returns the longest backoff before retry number `retry`, counted from one.
    pub(crate) fn ceiling(&self, retry: u32) -> Duration {
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial_interval.as_secs_f64() * self.exponent.powi(exponent);
        match Duration::try_from_secs_f64(seconds) {
            Ok(backoff) => backoff.min(self.max_interval),
            // Zero times infinity is not a number.
            Err(_) if self.initial_interval.is_zero() => Duration::ZERO,
            Err(_) => self.max_interval,
        }
    }
}

/// Reads a number as the setters take it: less than one and NaN mean one.
fn at_least_one<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + PartialOrd + From<u8>,
{
    let number = T::deserialize(from)?;
    let one = T::from(1);
    Ok(if number > one { number } else { one })
}

/// A duration, or an optional one, in seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<T, S: Serializer>(time: &T, to: S) -> Result<S::Ok, S::Error>
    where
        T: Copy + Into<Option<Duration>>,
    {
        let time: Option<Duration> = (*time).into();
        time.unwrap_or_default().as_secs_f64().serialize(to)
    }

    pub(super) fn deserialize<'de, T, D: Deserializer<'de>>(from: D) -> Result<T, D::Error>
    where
        T: From<Duration>,
    {
        let seconds = f64::deserialize(from)?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) => Ok(time.into()),
            // `Duration::MAX` is rounded up when it is written.
            Err(_) if seconds == Duration::MAX.as_secs_f64() => Ok(Duration::MAX.into()),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}
