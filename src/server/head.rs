//! Checks the head of a request: route, key, API version, content type.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
    request::Parts,
};

use super::{AcceptedKeys, KeyName, response::refusal};
use crate::{ActorTokenId, ClerkError, Error};

/// The documented versions, which do not differ in the two operations.
const VERSIONS: [&[u8]; 5] = [
    b"2021-02-05",
    b"2024-10-01",
    b"2025-04-10",
    b"2025-11-10",
    b"2026-05-12",
];

#[derive(PartialEq)]
pub(super) enum Route {
    Create,
    Revoke(ActorTokenId),
}

/// Returns the route of a request. The path is not percent-decoded.
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

/// Checks the key and returns its name. Two `Authorization` headers are refused, because a proxy may have
/// checked either one.
pub(super) fn check_key(
    keys: &[AcceptedKeys],
    headers: &HeaderMap,
) -> Result<Option<KeyName>, Error> {
    let presented = only_value(headers, AUTHORIZATION).and_then(bearer_key);
    let entry = match presented.map(|key| AcceptedKeys::find(keys, key)) {
        Some(Some(name)) => return Ok(name),
        Some(_) => ClerkError::new(
            "clerk_key_invalid",
            "The provided Clerk Secret Key is invalid",
            "The provided Clerk Secret Key is invalid. Make sure that it is the one of this API.",
        ),
        None => ClerkError::new(
            "authorization_header_format_invalid",
            "Invalid Authorization header format",
            "Invalid Authorization header format. Must be \"Bearer <YOUR_API_KEY>\".",
        ),
    };
    Err(refusal(StatusCode::UNAUTHORIZED, entry))
}

fn bearer_key(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
}

/// Checks that the request names no API version, or once one that is documented.
pub(super) fn check_version(head: &Parts) -> Result<(), Error> {
    let headers = head.headers.get_all("clerk-api-version").iter();
    let pairs = head.uri.query().unwrap_or_default().split('&');
    let parameters = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name == "__clerk_api_version")
        .map(|(_, value)| value.as_bytes());
    let mut versions = headers.map(HeaderValue::as_bytes).chain(parameters);
    let is_known = versions.next().is_none_or(|it| VERSIONS.contains(&it));
    if is_known && versions.next().is_none() {
        return Ok(());
    }
    let entry = ClerkError::new(
        "api_version_invalid",
        "invalid API version",
        "The API version must be a documented one, given once: in a header or in the query.",
    );
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
fn only_value(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}
