//! [`ErrorKind`], the kind of an error.

use http::StatusCode;

use crate::{ClerkError, ClerkErrors};

/// The kind of failure of an [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is invalid and was refused before any I/O.
    InvalidRequest,
    /// A layer outside this crate refused the call by [`Error::refused`](crate::Error::refused).
    Refused,
    /// The [`KeyProvider`](crate::KeyProvider) could not read the secret key.
    Key,
    /// Connecting failed: name resolution, TCP or TLS.
    Connect,
    /// A timeout expired: of the connect phase, of an attempt, or of the call.
    Timeout,
    /// As many creates are in flight as the [settle layer](crate::layer::SettleLayer::max_creates) allows.
    Overloaded,
    /// The call needs a tokio runtime with timers and, over a transport of this crate, with I/O. If they are
    /// missing, tokio panics, and the panic is caught.
    Runtime,
    /// The connection was lost before the response was complete, or the peer did not speak HTTP.
    Transport,
    /// The API responded with an error, see [`Error::status`](crate::Error::status) and
    /// [`Error::code`](crate::Error::code).
    Api,
    /// The token was already used: **a session is live**, and a revoke cannot end it.
    /// `Client::end_impersonation`, with the feature `sessions`, can.
    AlreadyAccepted,
    /// The token was revoked before this call.
    AlreadyRevoked,
    /// The API responded to a revoke with 200, but the status is not `revoked`. The same of a session.
    NotRevoked,
    /// The response has a status that this API never uses: 1xx, 2xx other than 200, or 3xx.
    UnexpectedStatus,
    /// The API responded with 200, but the body is not the requested token.
    UnreadableResponse,
    /// A layer or transport outside this crate failed. Its error is the
    /// [`source`](std::error::Error::source).
    Foreign,
}

impl ErrorKind {
    /// Returns the word used in `error.type` of spans and metrics, such as `invalid_request`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Refused => "refused",
            Self::Key => "key",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Runtime => "runtime",
            Self::Transport => "transport",
            Self::Api => "api",
            Self::AlreadyAccepted => "already_accepted",
            Self::AlreadyRevoked => "already_revoked",
            Self::NotRevoked => "not_revoked",
            Self::UnexpectedStatus => "unexpected_status",
            Self::UnreadableResponse => "unreadable_response",
            Self::Foreign => "foreign",
        }
    }

    /// Returns the kind of an error body.
    ///
    /// Only a 400 shows the status of a token, and only in a sentence: "Actor token cannot be revoked because
    /// its status is revoked. Only pending …".
    pub(super) fn of_response(status: StatusCode, errors: &ClerkErrors) -> Self {
        let is_refusal = |error: &&ClerkError| {
            status == StatusCode::BAD_REQUEST
                && error.code == ClerkError::ACTOR_TOKEN_CANNOT_BE_REVOKED
        };
        let token_status = errors.errors.iter().find(is_refusal).and_then(|error| {
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

    /// Returns the beginning of the error's message. A status may follow.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the request was refused before it was sent",
            Self::Refused => "a layer refused the call with",
            Self::Key => "could not read the secret key, nothing was sent",
            Self::Connect => "connecting to the API failed, nothing was sent",
            Self::Timeout => "timed out",
            Self::Overloaded => "too many creates at once",
            Self::Runtime => "the call cannot run here",
            Self::Transport => "the connection was lost before the response was complete",
            Self::Api => "the API responded with",
            Self::AlreadyAccepted => {
                "the token was already accepted, a session is live: the API responded with"
            }
            Self::AlreadyRevoked => "the token was already revoked: the API responded with",
            Self::NotRevoked => "the API revoked nothing: it responded with",
            Self::UnexpectedStatus => "unexpected response status",
            Self::UnreadableResponse => "could not read the response: status",
            Self::Foreign => "a layer or transport outside this crate failed",
        }
    }

    /// Returns whether the sentence includes that nothing was sent.
    pub(super) fn says_not_sent(self) -> bool {
        matches!(self, Self::InvalidRequest | Self::Key | Self::Connect)
    }
}

crate::text::display_as_str!(ErrorKind);
