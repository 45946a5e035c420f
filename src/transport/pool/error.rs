//! [`PoolError`], an exchange that ended without an answer.

use std::fmt;

use crate::BoxError;

/// Why an exchange over the pool ended without an answer.
pub struct PoolError {
    kind: Kind,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request,
    GivenUp,
    Connect,
    Handshake,
    Canceled,
    Send,
}

impl PoolError {
    /// A request that cannot be sent at all.
    pub(super) fn request() -> Self {
        Self {
            kind: Kind::Request,
            source: None,
        }
    }

    /// The attempt was given up before it was sent.
    pub(super) fn given_up() -> Self {
        Self {
            kind: Kind::GivenUp,
            source: None,
        }
    }

    pub(super) fn connect(source: BoxError) -> Self {
        Self::of(Kind::Connect, source)
    }

    pub(super) fn handshake(source: hyper::Error) -> Self {
        Self::of(Kind::Handshake, source.into())
    }

    /// The connection ended as soon as it was there.
    pub(super) fn closed() -> Self {
        Self {
            kind: Kind::Handshake,
            source: None,
        }
    }

    /// The request came back before anything of it was written.
    pub(super) fn canceled(source: hyper::Error) -> Self {
        Self::of(Kind::Canceled, source.into())
    }

    pub(super) fn send(source: hyper::Error) -> Self {
        Self::of(Kind::Send, source.into())
    }

    fn of(kind: Kind, source: BoxError) -> Self {
        Self {
            kind,
            source: Some(source),
        }
    }

    /// Whether no connection came about, by TCP or TLS, so that nothing was sent.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.kind == Kind::Connect
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Request => "not a request with an absolute URI for HTTP/1.1 or HTTP/2",
            Kind::GivenUp => "the attempt was given up before it was sent",
            Kind::Connect => "connecting failed",
            Kind::Handshake => "the connection ended before it was used",
            Kind::Canceled => "the connection ended before the request was sent",
            Kind::Send => "the exchange broke off",
        })
    }
}

impl fmt::Debug for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}
