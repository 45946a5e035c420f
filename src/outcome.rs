//! [`Outcome`]: may it have happened?

use std::fmt;

/// Whether the operation behind an [`Error`](crate::Error) may have taken effect.
///
/// The variants are ordered by how much may have happened, so that the outcome of a call is the
/// greatest outcome of its attempts.
///
/// ```
/// use clerk_actor_tokens::Outcome;
///
/// assert!(Outcome::NotSent.is_without_effect());
/// assert!(Outcome::Rejected < Outcome::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It provably never reached the API: refused before any I/O, connecting failed, or the
    /// request body was never taken by the transport.
    NotSent,
    /// The API, or something in front of it, answered no. Nothing changed.
    Rejected,
    /// It may have happened: the connection or the time ran out after the request was taken, the
    /// answer was a server error, or it was not an answer of this API at all.
    Unknown,
    /// It happened, but the answer cannot be used.
    Applied,
}

impl Outcome {
    /// Whether nothing can have changed at the API, so that sending again is harmless.
    #[must_use]
    pub fn is_without_effect(self) -> bool {
        self <= Self::Rejected
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "not sent",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Applied => "applied",
        })
    }
}
