//! [`TimedOut`], the error of a call or an attempt whose time ran out.

use std::{fmt, time::Duration};

/// What a time-out bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// All attempts and pauses of a call.
    Call,
    /// One attempt, head and body.
    Attempt,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Attempt => "attempt",
        })
    }
}

/// The error of a call or an attempt whose time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {scope} took longer than {limit:?}")]
pub struct TimedOut {
    pub(super) scope: Scope,
    pub(super) limit: Duration,
}

impl TimedOut {
    /// Whether it was the call's time or an attempt's.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How much time it had.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}
