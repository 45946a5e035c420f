//! [`Origin`], the destination of a request.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri, Version,
    uri::{Authority, Scheme},
};

use crate::error::{Error, Kind};

/// The scheme and the authority of a request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    /// Returns the origin of a request that can be sent by HTTP/1.1 or HTTP/2.
    pub(crate) fn of<B>(request: &Request<B>) -> Result<Self, Error> {
        let known = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
        let is_known = known.contains(&request.version()) && request.method() != Method::CONNECT;
        match (request.uri().scheme(), request.uri().authority()) {
            (Some(scheme), Some(authority)) if is_known => Ok(Self {
                scheme: scheme.clone(),
                authority: authority.clone(),
            }),
            _ => Err(Kind::Request.into()),
        }
    }

    /// Returns the URI for the connector, without a path.
    pub(crate) fn uri(&self) -> Result<Uri, Error> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
            .map_err(|error| Error::new(Kind::Request, error))
    }

    /// Returns the value of the `Host` header, without the default port of the scheme.
    pub(crate) fn host_header(&self) -> Result<HeaderValue, Error> {
        let host = self.authority.host();
        let is_https = self.scheme == Scheme::HTTPS;
        let host = match self.authority.port_u16() {
            Some(port) if port != if is_https { 443 } else { 80 } => format!("{host}:{port}"),
            _ => host.to_owned(),
        };
        HeaderValue::from_maybe_shared(Bytes::from(host))
            .map_err(|error| Error::new(Kind::Request, error))
    }
}
