//! [`Error`], the one error of a call, and the questions it answers.

mod fmt;
mod kind;
mod parts;

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use http::StatusCode;

pub use self::kind::ErrorKind;
use crate::{ActorTokenId, ClerkErrors, Outcome};

/// Any error, as layers pass them on.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call failed, and whether it may have happened all the same.
///
/// `Display` is one sentence that says what happened and what to do; it never shows a credential,
/// and does not repeat its [`source`](StdError::source).
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
/// assert_eq!(error.to_string(), "the API answered 404 Not Found, resource_not_found: No user was found.");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    attempts: u32,
    permanent: bool,
    stale_key: bool,
    settling: bool,
    foreign_token: bool,
    out_of_budget: bool,
    status: Option<StatusCode>,
    clerk_errors: Option<ClerkErrors>,
    /// That of the head, which counts when the body has none.
    trace_id: Option<String>,
    retry_after: Option<Duration>,
    actor_token_id: Option<ActorTokenId>,
    exposed_until: Option<SystemTime>,
    detail: Option<String>,
    source: Option<BoxError>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome,
            attempts: 0,
            permanent: false,
            stale_key: false,
            settling: false,
            foreign_token: false,
            out_of_budget: false,
            status: None,
            clerk_errors: None,
            trace_id: None,
            retry_after: None,
            actor_token_id: None,
            exposed_until: None,
            detail: None,
            source: None,
        }))
    }

    /// The error that an answer of the API with this status and body stands for: `Rejected` with a 4xx, and
    /// `Unknown` with any other status.
    ///
    /// For services that stand in for the API and want to answer in its terms. A guard that refuses
    /// before anything is sent says so by [`not_sent`](Self::not_sent).
    #[must_use]
    pub fn api(status: StatusCode, errors: ClerkErrors) -> Self {
        let outcome = if status.is_client_error() {
            Outcome::Rejected
        } else {
            Outcome::Unknown
        };
        Self::new(kind::of_answer(status, &errors), outcome)
            .with_status(status)
            .with_clerk_errors(errors)
    }

    /// The same, of a request that was refused before any of it was sent: its outcome is `NotSent`. What
    /// an earlier attempt of the same call may have done counts all the same.
    ///
    /// ```
    /// use std::time::Duration;
    /// use clerk_actor_tokens::{ClerkError, ClerkErrors, Error, Outcome};
    /// use http::StatusCode;
    ///
    /// let closed = ClerkError::new("service_unavailable", "closed", "Support is closed until six.");
    /// let error = Error::api(StatusCode::SERVICE_UNAVAILABLE, ClerkErrors::new(closed))
    ///     .not_sent()
    ///     .try_again_in(Duration::from_secs(3600));
    /// assert_eq!(error.outcome(), Outcome::NotSent);
    /// assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    /// ```
    #[must_use]
    pub fn not_sent(self) -> Self {
        self.with_outcome(Outcome::NotSent)
    }

    /// The same, with this as its [`retry_after`](Self::retry_after).
    #[must_use]
    pub fn try_again_in(self, wait: Duration) -> Self {
        self.with_retry_after(Some(wait))
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the operation may have taken effect, all attempts considered.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// How many attempts were begun, zero when the call was refused before the first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The HTTP status of the answer that the last attempt ended with, if it got one. A call whose
    /// own time ran out has none.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The error body of the last answer, if it had one that could be read.
    #[must_use]
    pub fn clerk_errors(&self) -> Option<&ClerkErrors> {
        self.0.clerk_errors.as_ref()
    }

    /// The first error code of the answer, like `impersonation_limit_exceeded`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.clerk_errors().and_then(ClerkErrors::code)
    }

    /// How long the API asked to wait, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The id by which Clerk's support finds the request: `clerk_trace_id`, else the header
    /// `Clerk-Trace-Id`, else `cf-ray`.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.clerk_errors()
            .and_then(|body| body.clerk_trace_id.as_deref())
            .or(self.0.trace_id.as_deref())
    }

    /// The id of the token that is concerned although the call failed, when it could be read: of a create
    /// what was minted all the same, of a revoke what an answer named that cannot be used otherwise.
    #[must_use]
    pub fn actor_token_id(&self) -> Option<&ActorTokenId> {
        self.0.actor_token_id.as_ref()
    }

    /// Until when a token could be used that a create had minted by the time it failed: its life from
    /// then on. `None` when nothing was minted, and for a revoke.
    ///
    /// What the [settle layer](crate::layer::SettleLayer) revokes dies earlier. What the API carries out
    /// only later than that, the layer follows, and tells of by
    /// [`on_settle`](crate::ClientBuilder::on_settle).
    #[must_use]
    pub fn exposed_until(&self) -> Option<SystemTime> {
        self.0.exposed_until
    }

    /// Whether an attempt whose time ran out is followed in the background, and what it mints is
    /// revoked there.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.0.settling
    }

    /// Whether time ran out: of the connect phase, of an attempt, or of the call.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// Whether connecting failed.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.0.kind == ErrorKind::Connect
    }

    /// Whether it would have been retried, had the budget that all clones of the client share
    /// allowed it. That holds ten retries; a retry takes one, and a success gives back a tenth of one.
    /// So it is used up where, for a while, ten successes need more than one retry.
    #[must_use]
    pub fn is_out_of_budget(&self) -> bool {
        self.0.out_of_budget
    }

    /// Whether another attempt would only repeat the failure: a certificate that is not trusted, a
    /// base URL that is not allowed.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.0.permanent
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
