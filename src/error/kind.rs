//! [`ErrorKind`], and how it follows from an error body.

use http::StatusCode;

use crate::ClerkErrors;

/// The kind of failure of an [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is invalid and was refused before any I/O.
    InvalidRequest,
    /// The [`KeyProvider`](crate::KeyProvider) could not read the secret key.
    Key,
    /// Connecting failed: name resolution, TCP or TLS.
    Connect,
    /// A timeout expired: of the connect phase, of an attempt, or of the call.
    Timeout,
    /// As many creates are in flight as [are allowed](crate::layer::SettleLayer::max_creates).
    Overloaded,
    /// The call was made where there is no tokio runtime, or one without timers, or, over a transport of
    /// this crate, one without I/O. tokio reports missing timers and I/O by a panic, which is caught and
    /// which a panic hook sees.
    Runtime,
    /// The connection was lost, or the peer did not speak HTTP.
    Transport,
    /// The API responded with an error, see [`Error::status`](crate::Error::status) and
    /// [`Error::code`](crate::Error::code).
    Api,
    /// The token was already used: **a session is live**, and revoking cannot end it.
    AlreadyAccepted,
    /// The token had been revoked before this call.
    AlreadyRevoked,
    /// The API responded to a revoke with 200, but with a status that does not say that the token is
    /// revoked.
    NotRevoked,
    /// The response has a status that this API never uses: 1xx, 2xx other than 200, or 3xx.
    UnexpectedStatus,
    /// The API responded with 200, but the body is not the requested token.
    UnreadableAnswer,
    /// An error of a layer or transport outside this crate, which is the
    /// [`source`](std::error::Error::source).
    Foreign,
}

/// The error code of a revoke that was refused because of the token's status.
const CANNOT_BE_REVOKED: &str = "actor_token_cannot_be_revoked_code";

impl ErrorKind {
    /// Returns the kind of an error body.
    ///
    /// Only a 400 is about the status of a token. The status itself stands in a sentence only: "Actor
    /// token cannot be revoked because its status is revoked. Only pending …".
    pub(super) fn of_response(status: StatusCode, errors: &ClerkErrors) -> Self {
        let mut entries = errors.errors.iter();
        let refused = match status {
            StatusCode::BAD_REQUEST => entries.find(|error| error.code == CANNOT_BE_REVOKED),
            _ => None,
        };
        let token_status = refused.and_then(|error| {
            let mut sentences = [&error.long_message, &error.message].into_iter();
            sentences.find_map(|text| {
                let (_, after) = text.split_once("its status is ")?;
                after.split(|c: char| !c.is_ascii_alphanumeric()).next()
            })
        });
        match token_status {
            Some("accepted") => Self::AlreadyAccepted,
            Some("revoked") => Self::AlreadyRevoked,
            _ => Self::Api,
        }
    }

    /// Returns the beginning of the error's message, which a status may follow.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the request was refused before it was sent",
            Self::Key => "could not read the secret key, nothing was sent",
            Self::Connect => "connecting to the API failed, nothing was sent",
            Self::Timeout => "time ran out",
            Self::Overloaded => "too many creates at once",
            Self::Runtime => "the call cannot run here",
            Self::Transport => "the connection was lost before the response was complete",
            Self::Api => "the API responded with",
            Self::AlreadyAccepted => {
                "the token was already accepted, a session is live: the API responded with"
            }
            Self::AlreadyRevoked => "the token was already revoked: the API responded with",
            Self::NotRevoked => "the API did not revoke the token: it responded with",
            Self::UnexpectedStatus => "unexpected response status",
            Self::UnreadableAnswer => "could not read the response: status",
            Self::Foreign => "a layer or transport outside this crate failed",
        }
    }

    /// Returns whether the sentence says that nothing was sent.
    pub(super) fn says_not_sent(self) -> bool {
        matches!(self, Self::InvalidRequest | Self::Key | Self::Connect)
    }
}
