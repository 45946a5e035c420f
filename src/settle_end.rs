//! [`SettleEnd`], how a token ended that was not returned to its caller.

use std::fmt;

/// How a token ended that was not returned to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SettleEnd {
    /// It was revoked and cannot be used.
    Revoked,
    /// It had been used before it could be revoked: **a session is live**.
    Accepted,
    /// It exists and could not be revoked.
    NotRevoked,
    /// It may exist: the response was lost before its id was received, or had no id.
    Unknown,
    /// The response to a create named a token of another user, which is not revoked.
    Foreign,
}

impl SettleEnd {
    /// Returns the end as one word, as in events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Accepted => "accepted",
            Self::NotRevoked => "not_revoked",
            Self::Unknown => "unknown",
            Self::Foreign => "foreign",
        }
    }

    /// Returns whether the token cannot be used any more.
    #[must_use]
    pub fn is_safe(self) -> bool {
        self == Self::Revoked
    }
}

impl fmt::Display for SettleEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
