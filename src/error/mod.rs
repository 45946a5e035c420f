//! [`Error`], the one error of a call.

mod convert;
mod kind;

use std::{
    error::Error as StdError,
    fmt,
    time::{Duration, SystemTime},
};

use http::StatusCode;

pub use self::kind::ErrorKind;
use crate::{ActorTokenId, ClerkError, ClerkErrors, Outcome};

/// The error type of layers: any error.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The error of a call, with the [`Outcome`] that says whether it may have taken effect.
///
/// `Display` is one sentence: what failed, why and what to do. It shows no credential and does not repeat
/// the [`source`](StdError::source). `?` converts every `Invalid…` error of this crate.
///
/// ```
/// use clerk_actor_tokens::{ClerkError, ClerkErrors, Error, ErrorKind, Outcome};
/// use http::StatusCode;
///
/// let body = ClerkErrors::new(ClerkError::new("resource_not_found", "not found", "No user was found."));
/// let error = Error::api(StatusCode::NOT_FOUND, body);
/// assert_eq!(error.kind(), ErrorKind::Api);
/// assert_eq!(error.outcome(), Outcome::Rejected);
/// assert_eq!(error.code(), Some("resource_not_found"));
/// assert_eq!(
///     error.to_string(),
///     "the API responded with 404 Not Found, resource_not_found: No user was found."
/// );
/// ```
pub struct Error {
    kind: ErrorKind,
    outcome: Outcome,
    pub(crate) details: Box<Details>,
}

#[derive(Default)]
pub(crate) struct Details {
    attempts: u32,
    permanent: bool,
    pub(crate) stale_key: bool,
    settling: bool,
    pub(crate) foreign_token: bool,
    pub(crate) out_of_budget: bool,
    status: Option<StatusCode>,
    clerk_errors: Option<ClerkErrors>,
    /// The trace id in the head of the response.
    trace_id: Option<String>,
    retry_after: Option<Duration>,
    actor_token_id: Option<ActorTokenId>,
    exposed_until: Option<SystemTime>,
    detail: Option<String>,
    source: Option<BoxError>,
}

impl Error {
    /// Creates the error of a response of the API, for services that replace it. The outcome is `Rejected`
    /// for a 4xx other than 408, 460 and 499, else `Unknown`.
    pub fn api(status: StatusCode, errors: ClerkErrors) -> Self {
        let outcome = Outcome::of_status(status);
        Self::new(ErrorKind::of_response(status, &errors), outcome)
            .with_status(status)
            .with_clerk_errors(errors)
    }

    /// Creates the error of a layer that refuses a call before it is sent, with outcome `NotSent`. Retry
    /// does not repeat it, and a `server` responds with this status and body.
    ///
    /// ```
    /// use std::time::Duration;
    /// use clerk_actor_tokens::{ClerkError, ClerkErrors, Error, ErrorKind, Outcome};
    /// use http::StatusCode;
    ///
    /// let closed = ClerkError::new("service_unavailable", "closed", "Support is closed until six.");
    /// let error = Error::refused(StatusCode::SERVICE_UNAVAILABLE, ClerkErrors::new(closed))
    ///     .with_retry_after(Duration::from_secs(3600));
    /// assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
    /// assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    /// ```
    pub fn refused(status: StatusCode, errors: ClerkErrors) -> Self {
        Self::new(ErrorKind::Refused, Outcome::NotSent)
            .permanent(true)
            .with_status(status)
            .with_clerk_errors(errors)
    }

    /// Sets the [`outcome`](Self::outcome). A client raises it to the outcome of the call's attempts.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Sets or clears [`retry_after`](Self::retry_after).
    #[must_use]
    pub fn with_retry_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.details.retry_after = wait.into();
        self
    }

    /// Sets or clears [`actor_token_id`](Self::actor_token_id).
    #[must_use]
    pub fn with_actor_token_id(mut self, id: impl Into<Option<ActorTokenId>>) -> Self {
        self.details.actor_token_id = id.into();
        self
    }

    /// Sets the [`source`](StdError::source). `Debug` shows it, so it must not hold a credential.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.details.source = Some(source.into());
        self
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether the operation may have taken effect, in any of its attempts.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns how many attempts have begun.
    pub fn attempts(&self) -> u32 {
        self.details.attempts
    }

    /// Returns the HTTP status of the last attempt, or of the layer that [refused](Self::refused) the call. A
    /// call that reached its deadline has none.
    pub fn status(&self) -> Option<StatusCode> {
        self.details.status
    }

    /// Returns the error body of the last response, if there was a readable one.
    pub fn clerk_errors(&self) -> Option<&ClerkErrors> {
        self.details.clerk_errors.as_ref()
    }

    /// Returns the first error code of the response, such as [`ClerkError::RESOURCE_NOT_FOUND`].
    pub fn code(&self) -> Option<&str> {
        self.clerk_errors().and_then(ClerkErrors::code)
    }

    /// Returns how long to wait before the next request, from `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.retry_after
    }

    /// Returns the id by which Clerk's support finds the request: `clerk_trace_id` of the body, else the
    /// header `Clerk-Trace-Id` or `cf-ray`.
    pub fn trace_id(&self) -> Option<&str> {
        self.clerk_errors()
            .and_then(|body| body.clerk_trace_id.as_deref())
            .or(self.details.trace_id.as_deref())
    }

    /// Returns the id of the token in the response, if it could be read although the call failed.
    pub fn actor_token_id(&self) -> Option<&ActorTokenId> {
        self.details.actor_token_id.as_ref()
    }

    /// Returns the time until which the token of a failed create can be used, if one may exist: its lifetime,
    /// counted from the failure. If the [settle layer](crate::layer::SettleLayer) revokes the token, it ends
    /// earlier.
    pub fn exposed_until(&self) -> Option<SystemTime> {
        self.details.exposed_until
    }

    /// Returns whether an attempt that timed out continues in the background, and its token is revoked.
    pub fn is_settling(&self) -> bool {
        self.details.settling
    }

    /// Returns whether a timeout expired: of the connect phase, of an attempt, or of the call.
    pub fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::Timeout
    }

    /// Returns whether connecting failed, other than by a timeout.
    pub fn is_connect(&self) -> bool {
        self.kind == ErrorKind::Connect
    }

    /// Returns whether the status is 404: no such user on a create, no such token on a revoke.
    pub fn is_not_found(&self) -> bool {
        self.details.status == Some(StatusCode::NOT_FOUND)
    }

    /// Returns whether the status is 429, see [`retry_after`](Self::retry_after).
    pub fn is_rate_limited(&self) -> bool {
        self.details.status == Some(StatusCode::TOO_MANY_REQUESTS)
    }

    /// Returns whether the status is 401: the secret key was refused.
    pub fn is_unauthorized(&self) -> bool {
        self.details.status == Some(StatusCode::UNAUTHORIZED)
    }

    /// Returns whether the plan's quota of impersonations is used up, see
    /// [`ClerkError::IMPERSONATION_LIMIT_EXCEEDED`].
    pub fn is_quota_exceeded(&self) -> bool {
        self.code() == Some(ClerkError::IMPERSONATION_LIMIT_EXCEEDED)
    }

    /// Returns whether the attempt was not retried because the
    /// [budget](crate::RetryConfig::budget) was exhausted.
    pub fn is_out_of_budget(&self) -> bool {
        self.details.out_of_budget
    }

    /// Returns whether another attempt would fail in the same way: after an untrusted certificate, an
    /// invalid request, or the refusal of a layer.
    pub fn is_permanent(&self) -> bool {
        self.details.permanent
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $setter:ident: $field:ident = $type:ty;)*) => {
        $($(#[$doc])*
        pub(crate) fn $setter(mut self, $field: impl Into<$type>) -> Self {
            self.details.$field = $field.into();
            self
        })*
    };
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome) -> Self {
        Self {
            kind,
            outcome,
            details: Box::default(),
        }
    }

    /// Creates the error of a 200 that cannot be used.
    pub(crate) fn unreadable(why: impl Into<String>, outcome: Outcome) -> Self {
        Self::new(ErrorKind::UnreadableResponse, outcome)
            .with_status(StatusCode::OK)
            .with_detail(why)
    }

    setters! {
        with_attempts: attempts = u32;
        /// Whether another attempt would fail in the same way.
        permanent: permanent = bool;
        /// Whether the API refused a key that may have been rotated.
        with_stale_key: stale_key = bool;
        /// Whether the settle layer follows the attempt in the background.
        with_settling: settling = bool;
        /// Whether the response names the token of another user.
        with_foreign_token: foreign_token = bool;
        with_status: status = Option<StatusCode>;
        with_clerk_errors: clerk_errors = Option<ClerkErrors>;
        with_trace_id: trace_id = Option<String>;
        with_exposed_until: exposed_until = Option<SystemTime>;
    }

    /// Sets the reason in the message, without a credential.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.details.detail = Some(detail.into());
        self
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.details.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.details;
        f.write_str(self.kind.sentence())?;
        match (details.status, self.kind) {
            (None, _) => {}
            (Some(status), ErrorKind::Timeout | ErrorKind::Transport) => {
                write!(f, " after the head of a {status}")?;
            }
            (Some(status), _) => write!(f, " {status}")?,
        }
        let entries = details.clerk_errors.as_ref().map(|body| &body.errors);
        if let Some(first) = entries.and_then(|entries| entries.first()) {
            match first.code.as_str() {
                "" => write!(f, ": {first}")?,
                code => write!(f, ", {code}: {first}")?,
            }
        }
        if let Some(detail) = &details.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(wait) = details.retry_after {
            write!(f, "; try again in {wait:?}")?;
        }
        if let Some(id) = &details.actor_token_id {
            write!(f, "; the token is {id}")?;
        }
        if let Some(trace_id) = self.trace_id() {
            write!(f, " (trace id {trace_id})")?;
        }
        f.write_str(match (self.outcome, self.kind.says_not_sent()) {
            (Outcome::NotSent, true) | (Outcome::Rejected, _) => "",
            (Outcome::NotSent, false) => "; nothing was sent",
            (Outcome::Unknown, true) => "; an earlier attempt may have taken effect",
            (Outcome::Unknown, false) => "; it may have taken effect",
            (Outcome::Applied, _) => "; it has taken effect",
        })?;
        match details.attempts {
            0 => {}
            1 if self.kind != ErrorKind::Timeout => {}
            attempts => write!(f, " (attempt {attempts})")?,
        }
        if details.out_of_budget {
            f.write_str("; not retried: retry budget exhausted")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    /// Shows at most 16 KiB, sources included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match f.alternate() {
            true => format!("{:#?}", Fields(self)),
            false => format!("{:?}", Fields(self)),
        };
        // Leaves room for a character that is cut, and for the `…`.
        match shown.as_bytes().get(..16 * 1024 - 6) {
            Some(start) => write!(f, "{}…", String::from_utf8_lossy(start)),
            None => f.write_str(&shown),
        }
    }
}

struct Fields<'a>(&'a Error);

impl fmt::Debug for Fields<'_> {
    /// Shows only the fields that are set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn set<T: fmt::Debug>(value: &Option<T>) -> Option<&dyn fmt::Debug> {
            value.as_ref().map(|value| value as _)
        }

        let Self(error) = self;
        let details = &*error.details;
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &error.kind)
            .field("outcome", &error.outcome)
            .field("attempts", &details.attempts);
        for (name, value) in [
            ("permanent", set(&details.permanent.then_some(true))),
            ("settling", set(&details.settling.then_some(true))),
            ("out_of_budget", set(&details.out_of_budget.then_some(true))),
            ("status", set(&details.status)),
            ("clerk_errors", set(&details.clerk_errors)),
            ("trace_id", set(&error.trace_id())),
            ("retry_after", set(&details.retry_after)),
            ("actor_token_id", set(&details.actor_token_id)),
            ("exposed_until", set(&details.exposed_until)),
            ("detail", set(&details.detail)),
            ("source", set(&details.source)),
        ] {
            if let Some(value) = value {
                debug.field(name, value);
            }
        }
        debug.finish()
    }
}
