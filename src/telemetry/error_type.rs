//! [`ErrorType`], the value of `error.type`.

use http::StatusCode;
use tokio::time::Instant;

use crate::{Error, ErrorKind};

/// Why a call or an attempt failed, in one of few words; OpenTelemetry's `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// The API answered with this status.
    Status(StatusCode),
    Word(&'static str),
}

impl ErrorType {
    /// `None` stands for an error that nobody typed.
    pub(crate) fn of(error: Option<&Error>) -> Self {
        let Some(error) = error else {
            return Self::Word("foreign");
        };
        Self::Word(match (error.kind(), error.status()) {
            (ErrorKind::Api | ErrorKind::UnexpectedStatus, Some(status)) => {
                return Self::Status(status);
            }
            (ErrorKind::Api, None) => "api",
            (ErrorKind::UnexpectedStatus, None) => "unexpected_status",
            (ErrorKind::InvalidRequest, _) => "invalid_request",
            (ErrorKind::Key, _) => "key",
            (ErrorKind::Connect, _) => "connect",
            (ErrorKind::Overloaded, _) => "overloaded",
            (ErrorKind::Runtime, _) => "runtime",
            (ErrorKind::Timeout, _) => "timeout",
            (ErrorKind::Transport, _) => "transport",
            (ErrorKind::AlreadyAccepted, _) => "already_accepted",
            (ErrorKind::AlreadyRevoked, _) => "already_revoked",
            (ErrorKind::UnreadableAnswer, _) => "unreadable_answer",
            (ErrorKind::Foreign, _) => "foreign",
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Word(word) => word,
        }
    }
}

/// Why something was dropped before it ended: its call's time was over at `deadline`, a panic
/// unwinds, or whoever waited for it gave it up.
pub(crate) fn interrupted(deadline: Option<Instant>) -> ErrorType {
    ErrorType::Word(if std::thread::panicking() {
        "panic"
    } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        "timeout"
    } else {
        "cancelled"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClerkErrors, Outcome};

    #[test]
    fn an_answer_is_its_status_and_anything_else_a_word() {
        let answer = Error::api(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::default());
        assert_eq!(ErrorType::of(Some(&answer)).as_str(), "429");
        // The time ran out while the body of a 404 was read.
        let late = Error::new(ErrorKind::Timeout, Outcome::Rejected);
        let late = late.with_status(StatusCode::NOT_FOUND);
        assert_eq!(ErrorType::of(Some(&late)).as_str(), "timeout");
        assert_eq!(ErrorType::of(None).as_str(), "foreign");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_at_its_deadline_timed_out() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(interrupted(None).as_str(), "cancelled");
        assert_eq!(interrupted(Some(later)).as_str(), "cancelled");
        assert_eq!(interrupted(Some(now)).as_str(), "timeout");
    }
}
