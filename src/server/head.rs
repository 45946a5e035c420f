//! Checks of a request's head: its route, the API version, the content type.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AsHeaderName, CONTENT_TYPE},
    request::Parts,
};

use super::response::refusal;
use crate::{ActorTokenId, ClerkError, Error};

const VERSION_HEADER: HeaderName = HeaderName::from_static("clerk-api-version");
const VERSION_PARAMETER: &str = "__clerk_api_version";

/// The documented versions. Both operations are the same in all of them.
const VERSIONS: [&str; 5] = [
    "2021-02-05",
    "2024-10-01",
    "2025-04-10",
    "2025-11-10",
    "2026-05-12",
];

/// The operation that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Create,
    Revoke(ActorTokenId),
}

/// Returns the base path with one leading slash and no trailing one, or an empty path.
pub(super) fn base_path(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// Returns the route of a request. Paths are compared as they are; nothing is percent-decoded.
pub(super) fn route(base_path: &str, head: &Parts) -> Result<Route, Error> {
    let path = head.uri.path().strip_prefix(base_path);
    let Some(route) = path.and_then(route_of_path) else {
        let (code, message) = ("resource_not_found", "not found");
        let entry = ClerkError::new(code, message, "No resource was found at this path.");
        return Err(refusal(StatusCode::NOT_FOUND, entry));
    };
    if head.method != Method::POST {
        let (code, message) = ("method_not_allowed", "method not allowed");
        let entry = ClerkError::new(code, message, "Only POST is allowed at this path.");
        return Err(refusal(StatusCode::METHOD_NOT_ALLOWED, entry));
    }
    Ok(route)
}

fn route_of_path(path: &str) -> Option<Route> {
    let rest = path.strip_prefix("/actor_tokens")?;
    if rest.is_empty() {
        return Some(Route::Create);
    }
    let id = rest.strip_prefix('/')?.strip_suffix("/revoke")?;
    id.parse().ok().map(Route::Revoke)
}

/// Checks that the request names no API version, or one that is documented.
pub(super) fn check_version(head: &Parts) -> Result<(), Error> {
    let headers = head.headers.get_all(VERSION_HEADER).iter();
    let pairs = head.uri.query().unwrap_or_default().split('&');
    let parameters = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name == VERSION_PARAMETER)
        .map(|(_, value)| value.as_bytes());
    let mut versions = headers.map(HeaderValue::as_bytes).chain(parameters);
    let (message, sentence) = match (versions.next(), versions.next()) {
        (None, _) => return Ok(()),
        (Some(version), None) if VERSIONS.iter().any(|known| known.as_bytes() == version) => {
            return Ok(());
        }
        (Some(_), None) => (
            "unknown API version",
            "The API version is not a documented one.",
        ),
        (Some(_), Some(_)) => (
            "several API versions",
            "The API version can be given once: in a header or in the query.",
        ),
    };
    let entry = ClerkError::new("api_version_invalid", message, sentence);
    Err(refusal(StatusCode::BAD_REQUEST, entry))
}

/// Checks that there is one content type, and that it is JSON. Parameters are ignored.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let value = only_value(headers, CONTENT_TYPE).unwrap_or_default();
    let media_type = value.split(|byte| *byte == b';').next();
    if media_type.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json")) {
        return Ok(());
    }
    let (code, message) = ("unsupported_content_type", "unsupported content type");
    let entry = ClerkError::new(code, message, "The content type must be application/json.");
    Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, entry))
}

/// Returns the value of a header that occurs exactly once.
pub(super) fn only_value(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::layer::ApiVersion;

    fn route_in(base: &str, method: Method, path: &str) -> Result<Route, StatusCode> {
        let request = Request::builder().method(method).uri(path).body(());
        let (head, ()) = request.unwrap().into_parts();
        route(&base_path(base), &head).map_err(|error| error.status().unwrap())
    }

    #[test]
    fn base_path_is_stripped_in_every_notation() {
        for base in ["/v1", "v1", "/v1/", "v1//"] {
            let route = route_in(base, Method::POST, "/v1/actor_tokens?x=y");
            assert_eq!(route, Ok(Route::Create), "{base}");
        }
        for base in ["", "/"] {
            let route = route_in(base, Method::POST, "/actor_tokens");
            assert_eq!(route, Ok(Route::Create), "{base}");
        }
        let absolute = route_in("/v1", Method::POST, "http://h/v1/actor_tokens/act_1/revoke");
        assert_eq!(absolute, Ok(Route::Revoke("act_1".parse().unwrap())));
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in [
            "/",
            "/actor_tokens",
            "/v1",
            "/v1/",
            "/v1actor_tokens",
            "/v2/actor_tokens",
            "/v1/actor_tokens/",
            "/v1/actor_tokens//revoke",
            "/v1/actor_tokens/act_1",
            "/v1/actor_tokens/revoke",
            "/v1/actor_tokens/act_1/revoke/",
            "/v1/actor_tokens/a/b/revoke",
            "/v1/actor_tokens/../revoke",
            "/v1/actor_tokens/%61/revoke",
            "/v1/actor_tokens_2",
            "/v1/Actor_tokens",
        ] {
            let found = route_in("/v1", Method::POST, path);
            assert_eq!(found, Err(StatusCode::NOT_FOUND), "{path}");
        }
    }

    #[test]
    fn other_methods_than_post_are_refused() {
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
            let found = route_in("/v1", method, "/v1/actor_tokens");
            assert_eq!(found, Err(StatusCode::METHOD_NOT_ALLOWED));
        }
    }

    fn accepts_version(headers: &[&str], query: &str) -> bool {
        let mut request = Request::builder().uri(format!("/v1/actor_tokens{query}"));
        for value in headers {
            request = request.header(VERSION_HEADER, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        check_version(&head).is_ok()
    }

    #[test]
    fn documented_versions_are_accepted_in_header_or_query() {
        for version in VERSIONS {
            assert!(accepts_version(&[version], ""), "{version}");
            let query = format!("?a=b&__clerk_api_version={version}");
            assert!(accepts_version(&[], &query), "{version}");
        }
        for query in ["", "?", "?a=b"] {
            assert!(accepts_version(&[], query), "{query}");
        }
        assert!(accepts_version(&[ApiVersion::default().as_str()], ""));
    }

    #[test]
    fn unknown_and_repeated_versions_are_refused() {
        for version in ["", "latest", "2026-05-13", "2026-05-12, 2025-11-10"] {
            assert!(!accepts_version(&[version], ""), "{version}");
        }
        let query = "?__clerk_api_version=2026-05-12";
        for query in [
            "?__clerk_api_version",
            "?__clerk_api_version=",
            "?__clerk_api_version=1",
            &format!("{query}&__clerk_api_version=2026-05-12"),
        ] {
            assert!(!accepts_version(&[], query), "{query}");
        }
        assert!(!accepts_version(&["2026-05-12"], query));
        assert!(!accepts_version(&["2026-05-12", "2026-05-12"], ""));
    }

    #[test]
    fn content_type_must_be_json_given_once() {
        let is_accepted = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            }
            check_content_type(&headers).is_ok()
        };
        assert!(is_accepted(&["application/json"]));
        assert!(is_accepted(&["Application/JSON ; charset=utf-8"]));
        for values in [
            &[][..],
            &[""],
            &["text/plain"],
            &["application/json5"],
            &["application/x-www-form-urlencoded"],
            &["application/json", "application/json"],
        ] {
            assert!(!is_accepted(values), "{values:?}");
        }
    }
}
