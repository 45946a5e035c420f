//! [`Inbound`], what came with a request besides its operation.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap,
    header::{AUTHORIZATION, PROXY_AUTHORIZATION},
};

/// The headers of the request that [`ActorTokensApi`](super::ActorTokensApi) was asked with, for the
/// layers of a gateway. It stands in the extensions of the
/// [`ActorTokenRequest`](crate::ActorTokenRequest).
///
/// The headers are not the request's own: those are sent to the API. What of them is to be passed
/// on, a layer copies. `Authorization` and `Proxy-Authorization` have been removed.
///
/// ```
/// use clerk_actor_tokens::{ActorTokenRequest, server::Inbound};
///
/// fn operator(request: &ActorTokenRequest) -> Option<&str> {
///     let inbound = request.extensions().get::<Inbound>()?;
///     inbound.headers().get("x-operator")?.to_str().ok()
/// }
/// # let request = ActorTokenRequest::revoke("act_1".parse().unwrap());
/// # assert_eq!(operator(&request), None);
/// ```
#[derive(Clone)]
pub struct Inbound {
    /// Shared, since extensions are cloned for every attempt.
    headers: Arc<HeaderMap>,
}

impl Inbound {
    pub(super) fn new(mut headers: HeaderMap) -> Self {
        headers.remove(AUTHORIZATION);
        headers.remove(PROXY_AUTHORIZATION);
        Self {
            headers: Arc::new(headers),
        }
    }

    /// The headers, without credentials of the protocol.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl fmt::Debug for Inbound {
    /// Shows the names of the headers; their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_and_values_not_shown() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, "Bearer sk_test_marker".parse().unwrap());
        headers.append(AUTHORIZATION, "Bearer sk_test_marker".parse().unwrap());
        headers.append(PROXY_AUTHORIZATION, "Basic marker".parse().unwrap());
        headers.append("cookie", "session=marker".parse().unwrap());
        let inbound = Inbound::new(headers);
        assert_eq!(inbound.headers().len(), 1);
        assert!(!format!("{inbound:?}").contains("marker"));
    }
}
