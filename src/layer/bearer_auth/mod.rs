//! Adds the secret key: `Authorization: Bearer sk_…`, marked sensitive.
//!
//! # Position
//!
//! Lowest of all layers, directly above the transport: no layer above it can see or log the key. It
//! replaces any `Authorization` header of a request, and it sends the key to the base authority only: a
//! request to another host is refused before any I/O.
//!
//! Every attempt takes the key from its [`KeySource`], so that a rotated key is used. When the API
//! responds with 401 and the source may have another key by now, retry repeats the attempt, once a
//! call.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{BaseUrl, Body, BoxError, OperationKind, SecretKey, layer::BearerAuthLayer};
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new()
//!     .layer(BearerAuthLayer::new(SecretKey::new("sk_test_1")?, BaseUrl::default()))
//!     .service_fn(|request: Request<Body>| async move {
//!         assert!(request.headers()["authorization"].is_sensitive());
//!         Ok::<_, BoxError>(Response::new("sent"))
//!     });
//! let body = || Body::new(OperationKind::Revoke, "");
//! let request = Request::post("https://api.clerk.com/v1/actor_tokens/act_1/revoke").body(body())?;
//! service.ready().await?.call(request).await?;
//!
//! let foreign = Request::post("https://elsewhere.example/").body(body())?;
//! assert!(service.ready().await?.call(foreign).await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the inner future, nothing else.

mod future;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, Uri};
use tower_layer::Layer;
use tower_service::Service;

pub use self::future::ResponseFuture;
pub(crate) use self::future::StaleKey;
use super::refusal::refused;
use crate::{BaseUrl, Body, BoxError, KeySource};

/// Layer of [`BearerAuth`].
#[derive(Clone, Debug)]
pub struct BearerAuthLayer {
    config: Config,
}

#[derive(Clone, Debug)]
struct Config {
    source: KeySource,
    bases: Vec<BaseUrl>,
}

impl Config {
    fn may_see_the_key(&self, uri: &Uri) -> bool {
        self.bases.iter().any(|base| base.is_authority_of(uri))
    }
}

impl BearerAuthLayer {
    /// Gives the key to requests that go to the scheme, host and port of `base`.
    #[must_use]
    pub fn new(source: impl Into<KeySource>, base: BaseUrl) -> Self {
        Self {
            config: Config {
                source: source.into(),
                bases: vec![base],
            },
        }
    }

    /// Gives the key to requests that go to the scheme, host and port of `other`, too.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.config.bases.push(other);
        self
    }
}

impl<S> Layer<S> for BearerAuthLayer {
    type Service = BearerAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth {
            inner,
            config: Arc::new(self.config.clone()),
        }
    }
}

/// Adds the secret key, see the [module](self).
#[derive(Clone, Debug)]
pub struct BearerAuth<S> {
    inner: S,
    // Shared, so that the stack is cheap to clone.
    config: Arc<Config>,
}

impl<S, B> Service<Request<Body>> for BearerAuth<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !self.config.may_see_the_key(request.uri()) {
            let why = "its host is not one that the secret key is for";
            // Releases the reserved readiness, such as a concurrency permit.
            self.inner = self.inner.clone();
            return ResponseFuture::refused(refused(why));
        }
        let source = &self.config.source;
        match source.current() {
            Some(key) => ResponseFuture::sent(&mut self.inner, request, key, source),
            None => {
                // The instance that was polled ready waits for the key with the request.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::asking(ready, request, source.clone())
            }
        }
    }
}
