//! Which version of the API is asked for.

use http::{HeaderName, request::Parts};

use super::refusal::Refusal;

const HEADER: HeaderName = HeaderName::from_static("clerk-api-version");
const PARAMETER: &str = "__clerk_api_version";

/// The documented versions, in all of which both operations are the same.
const VERSIONS: [&str; 5] = [
    "2021-02-05",
    "2024-10-01",
    "2025-04-10",
    "2025-11-10",
    "2026-05-12",
];

/// Checks that at most one version is asked for, and that it exists.
pub(super) fn check(head: &Parts) -> Result<(), Refusal> {
    let headers = head.headers.get_all(HEADER).iter();
    let query = head.uri.query().unwrap_or_default();
    let parameters =
        query
            .split('&')
            .filter_map(|pair| match pair.split_once('=').unwrap_or((pair, "")) {
                (PARAMETER, value) => Some(value.as_bytes()),
                _ => None,
            });
    let mut asked = headers.map(http::HeaderValue::as_bytes).chain(parameters);
    let Some(version) = asked.next() else {
        return Ok(());
    };
    if asked.next().is_some() {
        return Err(Refusal::two_versions());
    }
    if VERSIONS.iter().any(|known| known.as_bytes() == version) {
        Ok(())
    } else {
        Err(Refusal::unknown_version())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::layer::ApiVersion;

    fn is_accepted(headers: &[&str], query: &str) -> bool {
        let mut request = Request::builder().uri(format!("/v1/actor_tokens{query}"));
        for value in headers {
            request = request.header(HEADER, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        check(&head).is_ok()
    }

    #[test]
    fn every_documented_version_is_accepted_in_either_place_or_none() {
        for version in VERSIONS {
            assert!(is_accepted(&[version], ""), "{version}");
            let query = format!("?a=b&__clerk_api_version={version}");
            assert!(is_accepted(&[], &query), "{version}");
        }
        assert!(is_accepted(&[], "") && is_accepted(&[], "?") && is_accepted(&[], "?a=b"));
        assert!(is_accepted(&[ApiVersion::default().as_str()], ""));
    }

    #[test]
    fn unknown_and_several_versions_are_refused() {
        for version in ["", "latest", "2026-05-13", "2026-05-12, 2025-11-10"] {
            assert!(!is_accepted(&[version], ""), "{version}");
        }
        for query in [
            "?__clerk_api_version",
            "?__clerk_api_version=",
            "?__clerk_api_version=1",
        ] {
            assert!(!is_accepted(&[], query), "{query}");
        }
        let query = "?__clerk_api_version=2026-05-12";
        assert!(!is_accepted(&["2026-05-12"], query));
        assert!(!is_accepted(&["2026-05-12", "2026-05-12"], ""));
        assert!(!is_accepted(
            &[],
            "?__clerk_api_version=2026-05-12&__clerk_api_version=2026-05-12"
        ));
    }
}
