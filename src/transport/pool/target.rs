//! Where a request goes, as each version of HTTP says it.

use bytes::Bytes;
use http::{
    HeaderValue, Request, Uri,
    header::HOST,
    uri::{PathAndQuery, Scheme},
};

/// The name of a host with its port, unless that is the scheme's own.
pub(super) fn name(uri: &Uri) -> Option<HeaderValue> {
    let host = uri.host()?;
    let default = if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    };
    let name = match uri.port_u16() {
        Some(port) if port != default => format!("{host}:{port}"),
        _ => host.to_owned(),
    };
    HeaderValue::from_maybe_shared(Bytes::from(name)).ok()
}

/// The scheme and authority of a URI alone.
pub(super) fn base(uri: &Uri) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = uri.scheme().cloned();
    parts.authority = uri.authority().cloned();
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).ok()
}

/// Names the host in a header, and leaves the path alone in the URI. Whether there was no such header.
pub(super) fn to_http1<B>(request: &mut Request<B>, name: &HeaderValue) -> bool {
    // What has no path means the root, which is the default.
    let path = std::mem::take(request.uri_mut())
        .into_parts()
        .path_and_query;
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    let headers = request.headers_mut();
    let is_missing = !headers.contains_key(HOST);
    if is_missing {
        // Cheaper than to look for its place and then to fill it.
        headers.append(HOST, name.clone());
    }
    is_missing
}

/// Undoes [`to_http1`], for a request that came back.
pub(super) fn to_absolute<B>(request: &mut Request<B>, base: &Uri, named: bool) {
    let mut parts = base.clone().into_parts();
    parts.path_and_query = request.uri().path_and_query().cloned();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    if named {
        request.headers_mut().remove(HOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_to_http1_by_its_path_and_a_host_header_and_back() {
        for (uri, host, path) in [
            (
                "http://127.0.0.1:8080/v1/a?b=c",
                "127.0.0.1:8080",
                "/v1/a?b=c",
            ),
            ("https://api.clerk.com/v1", "api.clerk.com", "/v1"),
            ("https://api.clerk.com:443/v1", "api.clerk.com", "/v1"),
            ("http://api.clerk.com:443/v1", "api.clerk.com:443", "/v1"),
            ("http://[::1]:80/v1", "[::1]", "/v1"),
            ("http://localhost", "localhost", "/"),
        ] {
            let mut request = Request::post(uri).body(()).unwrap();
            let base = base(request.uri()).unwrap();
            assert!(to_http1(&mut request, &name(&base).unwrap()));
            assert_eq!(request.uri(), path, "{uri}");
            assert_eq!(request.headers()[HOST], host, "{uri}");
            to_absolute(&mut request, &base, true);
            assert_eq!(*request.uri(), uri.parse::<Uri>().unwrap());
            assert!(request.headers().is_empty());
        }
    }

    #[test]
    fn a_host_header_of_the_callers_stays() {
        let request = Request::post("http://127.0.0.1/v1").header(HOST, "elsewhere");
        let mut request = request.body(()).unwrap();
        assert!(!to_http1(&mut request, &HeaderValue::from_static("here")));
        assert_eq!(request.headers()[HOST], "elsewhere");
    }
}
