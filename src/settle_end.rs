//! [`SettleEnd`], how a credential ended that its caller did not get.

use std::fmt;

/// How a credential ended that its caller did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SettleEnd {
    /// It was revoked: nobody can use it.
    Revoked,
    /// It had been used before it could be revoked: **a session is live**.
    Accepted,
    /// It exists and could not be revoked.
    NotRevoked,
    /// It may exist: the answer was lost before its id came, or spoke of none.
    Unknown,
    /// The answer to a create spoke of a token of another user, which is left alone.
    Foreign,
}

impl SettleEnd {
    pub(crate) const ALL: [Self; 5] = [
        Self::Revoked,
        Self::Accepted,
        Self::NotRevoked,
        Self::Unknown,
        Self::Foreign,
    ];

    /// The end in one word, as events and metrics have it.
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

    /// Whether nobody can use the credential any more.
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
