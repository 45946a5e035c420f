//! [`ErrorKind`], and the kinds that only an error body tells.

use http::StatusCode;

use crate::ClerkErrors;

/// What kind of failure an [`Error`](crate::Error) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be right and was refused before any I/O.
    InvalidRequest,
    /// The secret key could not be had from its [`KeyProvider`](crate::KeyProvider).
    Key,
    /// Connecting failed: name resolution, TCP or TLS.
    Connect,
    /// Time ran out: of the connect phase, of an attempt, or of the call.
    Timeout,
    /// As many creates are on their way as [are allowed](crate::layer::SettleLayer::max_creates).
    Overloaded,
    /// The call was made where there is no tokio runtime, or none with timers, or, over a transport of this crate,
    /// none with I/O. That timers or I/O are missing, tokio tells by a panic only, which is caught: a panic
    /// hook sees it.
    Runtime,
    /// The connection broke, or what came over it was not HTTP.
    Transport,
    /// The API answered with an error, see [`Error::status`](crate::Error::status) and
    /// [`Error::code`](crate::Error::code).
    Api,
    /// The token was already used: **a session is live**, and revoking cannot end it.
    AlreadyAccepted,
    /// The token had been revoked before this call.
    AlreadyRevoked,
    /// The answer had a status that this API never gives: 1xx, 2xx other than 200, or 3xx.
    UnexpectedStatus,
    /// The API answered 200, but the body is not the token that was asked for.
    UnreadableAnswer,
    /// An error of a layer or transport that is not this crate's; it is the
    /// [`source`](std::error::Error::source).
    Foreign,
}

impl ErrorKind {
    /// The beginning of the error's sentence.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the request was refused before it was sent",
            Self::Key => "the secret key could not be had, nothing was sent",
            Self::Connect => "connecting to the API failed, nothing was sent",
            Self::Timeout => "time ran out",
            Self::Overloaded => "too many creates at once",
            Self::Runtime => "the call cannot run here",
            Self::Transport => "the exchange with the API broke off",
            Self::Api => "the API answered",
            Self::AlreadyAccepted => {
                "the token was already accepted, a session is live: the API answered"
            }
            Self::AlreadyRevoked => "the token was already revoked: the API answered",
            Self::UnexpectedStatus => "the answer is none of this API's: status",
            Self::UnreadableAnswer => "the answer could not be read: status",
            Self::Foreign => "a layer or transport outside this crate failed",
        }
    }
}

/// The code of a revoke that was refused for the token's status.
const CANNOT_BE_REVOKED: &str = "actor_token_cannot_be_revoked_code";

/// The kind of an error body. Only a 400 speaks of the status of a token, and why a revoke was refused stands in a sentence only:
/// "Actor token cannot be revoked because its status is <status>. Only pending …".
pub(super) fn of_answer(status: StatusCode, errors: &ClerkErrors) -> ErrorKind {
    if status != StatusCode::BAD_REQUEST {
        return ErrorKind::Api;
    }
    let refused = errors
        .errors
        .iter()
        .find(|error| error.code == CANNOT_BE_REVOKED);
    let status = refused.and_then(|error| {
        [&error.long_message, &error.message]
            .into_iter()
            .find_map(|text| {
                let (_, after) = text.split_once("its status is ")?;
                after.split(|c: char| !c.is_ascii_alphanumeric()).next()
            })
    });
    match status {
        Some("accepted") => ErrorKind::AlreadyAccepted,
        Some("revoked") => ErrorKind::AlreadyRevoked,
        _ => ErrorKind::Api,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClerkError;

    fn of_status(status: StatusCode, code: &str, long_message: &str) -> ErrorKind {
        let entry = ClerkError::new(code, "cannot be revoked", long_message);
        of_answer(status, &ClerkErrors::new(entry))
    }

    fn kind(code: &str, long_message: &str) -> ErrorKind {
        of_status(StatusCode::BAD_REQUEST, code, long_message)
    }

    #[test]
    fn only_a_400_speaks_of_the_tokens_status() {
        let sentence = "Actor token cannot be revoked because its status is revoked.";
        for status in [401, 404, 409, 429, 500, 502, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                of_status(status, CANNOT_BE_REVOKED, sentence),
                ErrorKind::Api,
                "{status}"
            );
        }
    }

    #[test]
    fn why_a_revoke_was_refused_is_read_from_the_sentence() {
        let sentence = |status| {
            format!(
                "Actor token cannot be revoked because its status is {status}. Only pending tokens can be revoked."
            )
        };
        assert_eq!(
            kind(CANNOT_BE_REVOKED, &sentence("accepted")),
            ErrorKind::AlreadyAccepted
        );
        assert_eq!(
            kind(CANNOT_BE_REVOKED, &sentence("revoked")),
            ErrorKind::AlreadyRevoked
        );
        assert_eq!(kind(CANNOT_BE_REVOKED, &sentence("frozen")), ErrorKind::Api);
        assert_eq!(kind(CANNOT_BE_REVOKED, ""), ErrorKind::Api);
        assert_eq!(kind("something_else", &sentence("revoked")), ErrorKind::Api);
    }
}
