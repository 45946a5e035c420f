//! [`Error`], the error of an exchange.

use crate::BoxError;

/// The error of an exchange. Its source is an error of hyper, of the connector, of its I/O, or of tokio.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Error {
    kind: Kind,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Kind {
    #[error("not a request with an absolute URI for HTTP/1.1 or HTTP/2")]
    Request,
    #[error("no tokio runtime to connect on")]
    Runtime,
    /// The check of [`Builder::before_send`](crate::Builder::before_send) failed.
    #[error("the request was refused before it was sent")]
    Refused,
    #[error("could not connect")]
    Connect,
    #[error("the connection ended before it could be used")]
    Handshake,
    /// hyper returned the request before it wrote any of it.
    #[error("the connection ended before the request was sent")]
    Unsent,
    #[error("the connection failed before the response arrived")]
    Exchange,
    #[error("the connection failed before the response body was complete")]
    Body,
}

impl Error {
    pub(crate) fn new(kind: Kind, source: impl Into<BoxError>) -> Self {
        let source = Some(source.into());
        Self { kind, source }
    }

    /// Returns whether the connector failed, so that nothing was sent.
    pub fn is_connect(&self) -> bool {
        self.kind == Kind::Connect
    }

    /// Returns whether a part of the request may have been sent.
    pub fn may_have_been_sent(&self) -> bool {
        matches!(self.kind, Kind::Exchange | Kind::Body)
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self { kind, source: None }
    }
}
