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
