//! Resolves the path of a request against the base URL: `/actor_tokens` becomes
//! `https://api.clerk.com/v1/actor_tokens`.
//!
//! A request's own [`base_url`](crate::ActorTokenRequest::base_url) is used instead if it has the scheme,
//! host and port of the layer's base URL or of an [allowed](BaseUriLayer::allow) one.
//!
//! # Position
//!
//! Top of the wire level, so that your wire layers see the URI that is sent.
//!
//! # Errors
//!
//! A request with another base URL is refused before any I/O.
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

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Uri, uri::PathAndQuery};
use tower_layer::Layer;
use tower_service::Service;

pub use super::refusal::ResponseFuture;
use super::{json::CREATE_PATH, refusal::refused};
use crate::{BaseUrl, Body, BoxError, Error};

/// Layer of [`BaseUri`].
#[derive(Clone, Debug)]
pub struct BaseUriLayer {
    base: BaseUrl,
    allowed: Vec<BaseUrl>,
    /// The URI of a create under `base`.
    create: Uri,
}

impl BaseUriLayer {
    /// Sends requests to `base`.
    pub fn new(base: BaseUrl) -> Self {
        Self {
            create: base.join(CREATE_PATH).unwrap_or_default(),
            allowed: Vec::new(),
            base,
        }
    }

    /// Also allows requests with a base URL that has the scheme, host and port of `other`.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.allowed.push(other);
        self
    }

    /// Returns the URI of `path` under the request's own base URL, else under the layer's.
    fn resolve(&self, path: &str, own: Option<&BaseUrl>) -> Result<Uri, Error> {
        let mut known = self.allowed.iter().chain([&self.base]);
        let base = match own {
            None if path == CREATE_PATH => return Ok(self.create.clone()),
            None => &self.base,
            Some(own) if known.any(|known| known.has_same_authority(own)) => own,
            Some(_) => {
                return Err(refused(
                    "its base URL has another host than the client's; allow it when building the client",
                ));
            }
        };
        base.join(path)
            .map_err(|error| refused("its URL is too long").with_source(error))
    }
}

impl<S> Layer<S> for BaseUriLayer {
    type Service = BaseUri<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BaseUri {
            inner,
            config: Arc::new(self.clone()),
        }
    }
}

/// Resolves the path of a request against the base URL, see the [module](self).
#[derive(Clone, Debug)]
pub struct BaseUri<S> {
    inner: S,
    config: Arc<BaseUriLayer>,
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
        let options = request.body().options();
        let own = options.and_then(|options| options.base_url.as_ref());
        let path = request.uri().path_and_query();
        let path = path.map_or("", PathAndQuery::as_str);
        match self.config.resolve(path, own) {
            Ok(uri) => {
                *request.uri_mut() = uri;
                ResponseFuture::called(self.inner.call(request))
            }
            Err(error) => ResponseFuture::refused(&mut self.inner, error),
        }
    }
}
