//! [`Outcome`], whether a failed operation may have taken effect.

use http::StatusCode;

/// Whether the operation behind an [`Error`](crate::Error) may have taken effect.
///
/// The variants are ordered by their possible effect, so that the outcome of a call is the greatest
/// outcome of its attempts.
///
/// ```
/// use clerk_actor_tokens::Outcome;
///
/// assert!(Outcome::NotSent.is_without_effect());
/// assert!(Outcome::Rejected < Outcome::Unknown);
/// assert_eq!(Outcome::NotSent.to_string(), "not_sent");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The request provably never reached the API: it was refused before any I/O, connecting failed, or
    /// the transport never took the request body.
    NotSent,
    /// The API, or a proxy in front of it, refused the request. Nothing changed.
    Rejected,
    /// The operation may have taken effect: the connection was lost or a timeout expired after the
    /// transport took the request, or the response is a server error or not one of this API.
    Unknown,
    /// The operation took effect, but the response is unusable.
    Applied,
}

impl Outcome {
    /// Returns whether nothing can have changed at the API, so that it is safe to send again.
    #[must_use]
    pub fn is_without_effect(self) -> bool {
        self <= Self::Rejected
    }

    /// Returns what the status of a failed request proves. Proxies send 408, 460 and 499 after they have
    /// forwarded the request.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            408 | 460 | 499 => Self::Unknown,
            400..=499 => Self::Rejected,
            _ => Self::Unknown,
        }
    }

    /// Returns the outcome as one word, as in spans and metrics: `not_sent`, `rejected`, `unknown` or
    /// `applied`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Applied => "applied",
        }
    }
}

crate::text::display_as_str!(Outcome);
