//! Where a request goes: its [`origin`], and the [`host_header`] of HTTP/1.1.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri, Version,
    uri::{Parts, PathAndQuery, Scheme},
};

use crate::error::{Error, Kind};

/// Returns scheme and authority of a request that can be sent by HTTP/1.1 or HTTP/2, as a URI without path.
pub(crate) fn origin<B>(request: &Request<B>) -> Result<Uri, Error> {
    let known = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
    let is_known = known.contains(&request.version()) && request.method() != Method::CONNECT;
    if !is_known || request.uri().scheme().is_none() {
        return Err(Kind::Request.into());
    }
    let mut parts = Parts::default();
    parts.scheme = request.uri().scheme().cloned();
    parts.authority = request.uri().authority().cloned();
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).map_err(|error| Error::new(Kind::Request, error))
}

/// Returns the value of the `Host` header: the port is left out if it is the default of the scheme.
pub(crate) fn host_header(origin: &Uri) -> Result<HeaderValue, Error> {
    let host = origin.host().unwrap_or_default();
    let is_https = origin.scheme() == Some(&Scheme::HTTPS);
    let host = match origin.port_u16() {
        Some(port) if port != if is_https { 443 } else { 80 } => format!("{host}:{port}"),
        _ => host.to_owned(),
    };
    HeaderValue::from_maybe_shared(Bytes::from(host))
        .map_err(|error| Error::new(Kind::Request, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_header_leaves_out_the_default_port() {
        for (uri, host) in [
            ("http://127.0.0.1:8080/a?b=c", "127.0.0.1:8080"),
            ("https://example.com/v1", "example.com"),
            ("https://example.com:443/v1", "example.com"),
            ("http://example.com:443/v1", "example.com:443"),
            ("http://user:password@example.com/", "example.com"),
            ("http://[::1]:80/v1", "[::1]"),
            ("http://localhost", "localhost"),
        ] {
            let origin = origin(&Request::post(uri).body(()).unwrap()).unwrap();
            assert_eq!(host_header(&origin).unwrap(), host, "{uri}");
        }
    }

    #[test]
    fn request_that_no_connection_can_send_is_refused() {
        let connect = Request::connect("http://example.com/");
        let relative = Request::get("/path");
        let old = Request::get("http://example.com/").version(Version::HTTP_09);
        let new = Request::get("http://example.com/").version(Version::HTTP_3);
        for request in [connect, relative, old, new] {
            assert!(origin(&request.body(()).unwrap()).is_err());
        }
    }
}
