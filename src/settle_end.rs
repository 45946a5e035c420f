//! [`SettleEnd`], the end of a token that was not returned to its caller. Telemetry uses it too, so it is not
//! in [`layer::settle`](crate::layer::settle).

/// The end of a token that was not returned to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SettleEnd {
    /// It was revoked.
    Revoked,
    /// It was used before it could be revoked: **a session is live**.
    Accepted,
    /// It exists and could not be revoked.
    NotRevoked,
    /// It may exist, but its id was not received.
    Unknown,
    /// It belongs to another user than the create's and was not revoked.
    Foreign,
}

impl SettleEnd {
    /// Returns the word used in events and metrics, such as `not_revoked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Accepted => "accepted",
            Self::NotRevoked => "not_revoked",
            Self::Unknown => "unknown",
            Self::Foreign => "foreign",
        }
    }

    /// Returns whether the token can no longer be used.
    pub fn is_safe(self) -> bool {
        self == Self::Revoked
    }
}

crate::text::display_as_str!(SettleEnd);
