//! Adds the secret key: `Authorization: Bearer sk_…`, marked sensitive.
//!
//! # Position
//!
//! Lowest of all, right above the transport: no layer above it can see or log the key. It replaces
//! whatever `Authorization` a request brings, and it gives the key to the base authority only: a
//! request that was led elsewhere is refused before any I/O.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{BaseUrl, Body, BoxError, Intent, SecretKey, layer::BearerAuthLayer};
//! use http::Request;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new()
//!     .layer(BearerAuthLayer::new(&SecretKey::new("sk_test_1")?, BaseUrl::default()))
//!     .service_fn(|request: Request<Body>| async move { Ok::<_, BoxError>(request) });
//! let body = || Body::new(Intent::Revoke, "");
//! let request = Request::post("https://api.clerk.com/v1/actor_tokens/act_1/revoke").body(body())?;
//! let sent = service.ready().await?.call(request).await?;
//! assert!(sent.headers()["authorization"].is_sensitive());
//!
//! let astray = Request::post("https://elsewhere.example/").body(body())?;
//! assert!(service.ready().await?.call(astray).await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops what is below, nothing else.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Uri, header::AUTHORIZATION};
use tower_layer::Layer;
use tower_service::Service;

pub use super::refusal::ResponseFuture;
use super::refusal::refused;
use crate::{BaseUrl, Body, BoxError, SecretKey};

/// Layer of [`BearerAuth`].
#[derive(Clone, Debug)]
pub struct BearerAuthLayer {
    /// Marked sensitive, so `Debug` does not show it.
    value: HeaderValue,
    bases: Vec<BaseUrl>,
}

impl BearerAuthLayer {
    /// Gives `key` to requests that go to the scheme, host and port of `base`.
    #[must_use]
    pub fn new(key: &SecretKey, base: BaseUrl) -> Self {
        let mut value = HeaderValue::try_from(["Bearer ", key.expose()].concat())
            .unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        Self {
            value,
            bases: vec![base],
        }
    }

    /// Gives the key to requests that go to the scheme, host and port of `other`, too.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.bases.push(other);
        self
    }
}

impl<S> Layer<S> for BearerAuthLayer {
    type Service = BearerAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth {
            inner,
            value: self.value.clone(),
            bases: self.bases.clone().into(),
        }
    }
}

/// Adds the secret key, see the [module](self).
#[derive(Clone, Debug)]
pub struct BearerAuth<S> {
    inner: S,
    value: HeaderValue,
    bases: Arc<[BaseUrl]>,
}

impl<S> BearerAuth<S> {
    fn may_see_the_key(&self, uri: &Uri) -> bool {
        self.bases.iter().any(|base| base.is_authority_of(uri))
    }
}

impl<S> Service<Request<Body>> for BearerAuth<S>
where
    S: Service<Request<Body>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if !self.may_see_the_key(request.uri()) {
            return ResponseFuture::refused(refused(
                "it was led to a host that the secret key is not for",
            ));
        }
        request
            .headers_mut()
            .insert(AUTHORIZATION, self.value.clone());
        ResponseFuture::called(self.inner.call(request))
    }
}
