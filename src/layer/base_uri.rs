//! Puts the path of an operation under the base URL: `/actor_tokens` becomes
//! `https://api.clerk.com/v1/actor_tokens`.
//!
//! # Position
//!
//! Top of the wire level, so that the wire layers of users see where a request goes.
//!
//! A request may bring its own base URL
//! ([`ActorTokenRequest::base_url`](crate::ActorTokenRequest::base_url)). It is used if it has the
//! scheme, host and port of the layer's base URL, or of one that was [allowed](BaseUriLayer::allow).
//! Otherwise the request is refused before any I/O.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{BaseUrl, Body, BoxError, OperationKind, layer::BaseUriLayer};
//! use http::Request;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new()
//!     .layer(BaseUriLayer::new(BaseUrl::default()))
//!     .service_fn(|request: Request<Body>| async move { Ok::<_, BoxError>(request.uri().to_string()) });
//! let request = Request::post("/actor_tokens").body(Body::new(OperationKind::Create, "{}"))?;
//! let uri = service.ready().await?.call(request).await?;
//! assert_eq!(uri, "https://api.clerk.com/v1/actor_tokens");
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the request below and has no other effect.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Uri};
use tower_layer::Layer;
use tower_service::Service;

pub use super::refusal::ResponseFuture;
use super::{json::CREATE_PATH, refusal::refused};
use crate::{BaseUrl, Body, BoxError, Error};

/// Layer of [`BaseUri`].
#[derive(Clone, Debug)]
pub struct BaseUriLayer {
    config: Config,
}

impl BaseUriLayer {
    /// Sends requests to `base`.
    #[must_use]
    pub fn new(base: BaseUrl) -> Self {
        let create = base.join(CREATE_PATH).unwrap_or_default();
        Self {
            config: Config {
                base,
                allowed: Vec::new(),
                create,
            },
        }
    }

    /// Also allows requests whose own base URL has the scheme, host and port of `other`.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.config.allowed.push(other);
        self
    }
}

impl<S> Layer<S> for BaseUriLayer {
    type Service = BaseUri<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BaseUri {
            inner,
            config: Arc::new(self.config.clone()),
        }
    }
}

/// Puts the path of an operation under the base URL, see the [module](self).
#[derive(Clone, Debug)]
pub struct BaseUri<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Service<Request<Body>> for BaseUri<S>
where
    S: Service<Request<Body>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let own = request
            .body()
            .options()
            .and_then(|options| options.base_url.as_ref());
        match self.config.resolve(request.uri().path(), own) {
            Ok(uri) => {
                *request.uri_mut() = uri;
                ResponseFuture::called(self.inner.call(request))
            }
            Err(error) => {
                // Releases the reserved readiness, such as a concurrency permit.
                self.inner = self.inner.clone();
                ResponseFuture::refused(error)
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Config {
    base: BaseUrl,
    allowed: Vec<BaseUrl>,
    /// The URI of every create without a base URL of its own.
    create: Uri,
}

impl Config {
    /// Returns the URI of `path` under the request's own base URL, else under the layer's.
    fn resolve(&self, path: &str, own: Option<&BaseUrl>) -> Result<Uri, Error> {
        let base = match own {
            None if path == CREATE_PATH => return Ok(self.create.clone()),
            None => &self.base,
            Some(own) if self.is_allowed(own) => own,
            Some(_) => {
                return Err(refused(
                    "its base URL has another host than the client's; allow it when building the client",
                ));
            }
        };
        base.join(path)
            .map_err(|error| refused("its URL is too long").with_source(error))
    }

    fn is_allowed(&self, other: &BaseUrl) -> bool {
        std::iter::once(&self.base)
            .chain(&self.allowed)
            .any(|known| known.has_same_authority(other))
    }
}
