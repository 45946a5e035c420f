//! [`Inbound`], the headers of a served request.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap,
    header::{AUTHORIZATION, PROXY_AUTHORIZATION},
};

/// The headers of the request that [`ActorTokensApi`](super::ActorTokensApi) received, for the layers
/// of a gateway. It is an extension of the [`ActorTokenRequest`](crate::ActorTokenRequest).
///
/// These headers are not sent to the API. A layer copies the ones to forward into the request's own
/// headers. `Authorization` and `Proxy-Authorization` are removed.
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
    /// Shared, because extensions are cloned for every attempt.
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

    /// Returns the headers, without `Authorization` and `Proxy-Authorization`.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl fmt::Debug for Inbound {
    /// Shows the names of the headers. Their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
