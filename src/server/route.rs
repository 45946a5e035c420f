//! Which operation a path names.

use std::fmt;

use http::{Method, request::Parts};

use super::refusal::Refusal;
use crate::ActorTokenId;

/// An operation, as far as the path tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Create,
    Revoke(ActorTokenId),
}

/// Where the operations are served: empty, or starting with a slash and not ending with one.
pub(super) struct BasePath(String);

impl BasePath {
    pub(super) fn new(path: &str) -> Self {
        match path.trim_matches('/') {
            "" => Self(String::new()),
            path => Self(["/", path].concat()),
        }
    }
}

impl Default for BasePath {
    fn default() -> Self {
        Self::new("/v1")
    }
}

impl fmt::Debug for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The operation that a request asks for. Paths are taken as they are, nothing is decoded.
pub(super) fn find(base: &BasePath, head: &Parts) -> Result<Route, Refusal> {
    let path = head.uri.path().strip_prefix(base.0.as_str());
    let route = path.and_then(of_path).ok_or_else(Refusal::no_route)?;
    if head.method == Method::POST {
        Ok(route)
    } else {
        Err(Refusal::wrong_method())
    }
}

fn of_path(path: &str) -> Option<Route> {
    let rest = path.strip_prefix("/actor_tokens")?;
    if rest.is_empty() {
        return Some(Route::Create);
    }
    let id = rest.strip_prefix('/')?.strip_suffix("/revoke")?;
    id.parse().ok().map(Route::Revoke)
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};

    use super::*;

    fn find_in(base: &str, method: Method, path: &str) -> Result<Route, StatusCode> {
        let request = Request::builder().method(method).uri(path).body(());
        let (head, ()) = request.unwrap().into_parts();
        find(&BasePath::new(base), &head).map_err(|refusal| refusal.status())
    }

    #[test]
    fn the_base_path_is_stripped_however_it_is_written() {
        for base in ["/v1", "v1", "/v1/", "v1//"] {
            let route = find_in(base, Method::POST, "/v1/actor_tokens?x=y");
            assert_eq!(route, Ok(Route::Create), "{base}");
        }
        for base in ["", "/"] {
            let route = find_in(base, Method::POST, "/actor_tokens");
            assert_eq!(route, Ok(Route::Create), "{base}");
        }
        let absolute = find_in("/v1", Method::POST, "http://h/v1/actor_tokens/act_1/revoke");
        assert_eq!(absolute, Ok(Route::Revoke("act_1".parse().unwrap())));
    }

    #[test]
    fn whatever_else_a_path_names_is_not_found() {
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
            let found = find_in("/v1", Method::POST, path);
            assert_eq!(found, Err(StatusCode::NOT_FOUND), "{path}");
        }
    }

    #[test]
    fn only_post_is_allowed() {
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
            let found = find_in("/v1", method, "/v1/actor_tokens");
            assert_eq!(found, Err(StatusCode::METHOD_NOT_ALLOWED));
        }
    }
}
