//! [`Inbound`], the headers of a served request.

use std::sync::Arc;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, PROXY_AUTHORIZATION},
};

/// The headers that [`ActorTokensApi`](super::ActorTokensApi) received, as an extension of the
/// [`ActorTokenRequest`](crate::ActorTokenRequest). The [module](super#example) has an example.
///
/// They are not sent to the API, unless a layer copies them into the headers of the request.
#[derive(Clone)]
// An `Arc`, because extensions are cloned for every attempt.
pub struct Inbound(Arc<HeaderMap>);

impl Inbound {
    pub(super) fn new(mut headers: HeaderMap) -> Self {
        headers.remove(AUTHORIZATION);
        headers.remove(PROXY_AUTHORIZATION);
        Self(Arc::new(headers))
    }

    /// Returns the headers, without `Authorization` and `Proxy-Authorization`.
    pub fn headers(&self) -> &HeaderMap {
        &self.0
    }
}

// Shows only the names, because values may be secret.
crate::text::opaque_debug!(Inbound, |it| headers: it.0.keys().collect::<Vec<_>>());
