//! [`Error`], why an exchange failed.

use std::fmt;

use crate::BoxError;

/// Why an exchange failed. Its source is the error of hyper, of the connector, or of tokio.
pub struct Error {
    kind: Kind,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be sent by HTTP/1.1 or HTTP/2, or its URI is not absolute.
    Request,
    /// There is no tokio runtime.
    Runtime,
    /// The check before sending refused the request.
    Refused,
    /// The connector failed.
    Connect,
    /// The connection ended before it could be used.
    Handshake,
    /// hyper returned the request before it wrote any of it.
    Unsent,
    /// The exchange failed after the request was handed to the connection.
    Exchange,
    /// The response body is incomplete.
    Body,
}

impl Error {
    pub(crate) fn new(kind: Kind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    pub(crate) fn request() -> Self {
        Self {
            kind: Kind::Request,
            source: None,
        }
    }

    /// Returns whether the connector failed, so that nothing was sent.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.kind == Kind::Connect
    }

    /// Returns whether a part of the request may have been sent.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        matches!(self.kind, Kind::Exchange | Kind::Body)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Request => "not a request with an absolute URI for HTTP/1.1 or HTTP/2",
            Kind::Runtime => "no tokio runtime to connect on",
            Kind::Refused => "the request was refused before it was sent",
            Kind::Connect => "could not connect",
            Kind::Handshake => "the connection ended before it could be used",
            Kind::Unsent => "the connection ended before the request was sent",
            Kind::Exchange => "the connection failed before the response arrived",
            Kind::Body => "the connection failed before the response body was complete",
        })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}
