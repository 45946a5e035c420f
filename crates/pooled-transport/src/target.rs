//! Where a request goes: [`Origin`], and the request target that HTTP/1.1 sends.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::Error;

/// The scheme, host and port that a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    /// Returns the origin of a request that can be sent by HTTP/1.1 or HTTP/2.
    pub(crate) fn of<B>(request: &Request<B>) -> Result<Self, Error> {
        let known = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
        let uri = request.uri();
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority))
                if known.contains(&request.version()) && request.method() != Method::CONNECT =>
            {
                Ok(Self {
                    scheme: scheme.clone(),
                    authority: authority.clone(),
                })
            }
            _ => Err(Error::request()),
        }
    }

    /// Returns the URI that the connector is called with.
    pub(crate) fn uri(&self) -> Result<Uri, Error> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).map_err(|_| Error::request())
    }

    /// Returns the value of the `Host` header: the port is left out if it is the default of the scheme.
    pub(crate) fn host(&self) -> Result<HeaderValue, Error> {
        let host = self.authority.host();
        let default = if self.scheme == Scheme::HTTPS {
            443
        } else {
            80
        };
        let host = match self.authority.port_u16() {
            Some(port) if port != default => format!("{host}:{port}"),
            _ => host.to_owned(),
        };
        HeaderValue::from_maybe_shared(Bytes::from(host)).map_err(|_| Error::request())
    }
}

/// Reduces the URI to path and query, and adds the `Host` header. Returns whether it was missing.
pub(crate) fn to_origin_form<B>(request: &mut Request<B>, host: &HeaderValue) -> bool {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    let is_missing = !request.headers().contains_key(HOST);
    if is_missing {
        request.headers_mut().insert(HOST, host.clone());
    }
    is_missing
}

/// Undoes [`to_origin_form`], for a request that was not sent.
pub(crate) fn to_absolute_form<B>(request: &mut Request<B>, uri: &Uri, host_was_missing: bool) {
    *request.uri_mut() = uri.clone();
    if host_was_missing {
        request.headers_mut().remove(HOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_form_has_path_and_host_and_can_be_undone() {
        for (uri, host, path) in [
            ("http://127.0.0.1:8080/a?b=c", "127.0.0.1:8080", "/a?b=c"),
            ("https://example.com/v1", "example.com", "/v1"),
            ("https://example.com:443/v1", "example.com", "/v1"),
            ("http://example.com:443/v1", "example.com:443", "/v1"),
            ("http://user:password@example.com/", "example.com", "/"),
            ("http://[::1]:80/v1", "[::1]", "/v1"),
            ("http://localhost", "localhost", "/"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let mut request = Request::post(uri.clone()).body(()).unwrap();
            let origin = Origin::of(&request).unwrap();
            assert!(to_origin_form(&mut request, &origin.host().unwrap()));
            assert_eq!(*request.uri(), path, "{uri}");
            assert_eq!(request.headers()[HOST], host, "{uri}");
            to_absolute_form(&mut request, &uri, true);
            assert_eq!(*request.uri(), uri);
            assert!(request.headers().is_empty());
        }
    }

    #[test]
    fn host_header_of_the_caller_is_kept() {
        let request = Request::post("http://127.0.0.1/").header(HOST, "elsewhere");
        let mut request = request.body(()).unwrap();
        assert!(!to_origin_form(
            &mut request,
            &HeaderValue::from_static("here")
        ));
        assert_eq!(request.headers()[HOST], "elsewhere");
    }

    #[test]
    fn request_that_no_connection_can_send_is_refused() {
        let connect = Request::connect("http://example.com/");
        let relative = Request::get("/path");
        let old = Request::get("http://example.com/").version(Version::HTTP_09);
        let new = Request::get("http://example.com/").version(Version::HTTP_3);
        for request in [connect, relative, old, new] {
            assert!(Origin::of(&request.body(()).unwrap()).is_err());
        }
    }
}
