//! Adds the fixed headers of the API to every attempt.
//!
//! | header | value |
//! |---|---|
//! | `accept` | `application/json` |
//! | `accept-encoding` | `identity`: nothing is ever decompressed |
//! | `clerk-api-version` | [`ApiVersion`], `2026-05-12` by default |
//! | `content-length` | the length of the body, zero included |
//! | `content-type` | `application/json`, only where there is a body |
//! | `user-agent` | `clerk-actor-tokens/<version>` |
//! | `x-clerk-sdk` | `rust/<version>` |
//!
//! A request's own `clerk-api-version` and `user-agent` are kept; all others are replaced.
//!
//! # Position
//!
//! In the wire level, below retry: a request without headers is cheap to clone for the next attempt.
//! Above the wire layers of users, who see what is sent.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Body, BoxError, OperationKind, layer::ApiHeadersLayer};
//! use http::Request;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new()
//!     .layer(ApiHeadersLayer::default())
//!     .service_fn(|request: Request<Body>| async move { Ok::<_, BoxError>(request) });
//! let request = Request::new(Body::new(OperationKind::Revoke, ""));
//! let sent = service.ready().await?.call(request).await?;
//! assert_eq!(sent.headers()["clerk-api-version"], "2026-05-12");
//! assert!(!sent.headers().contains_key("content-type"));
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    str::FromStr,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT},
};
use tower_layer::Layer;
use tower_service::Service;

use crate::Body;

const API_VERSION: HeaderName = HeaderName::from_static("clerk-api-version");
const SDK: HeaderName = HeaderName::from_static("x-clerk-sdk");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("clerk-actor-tokens/", env!("CARGO_PKG_VERSION")));
const SDK_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("rust/", env!("CARGO_PKG_VERSION")));

/// The version of the API that is asked for, in the header `clerk-api-version`.
///
/// ```
/// use clerk_actor_tokens::layer::ApiVersion;
///
/// assert_eq!(ApiVersion::default().to_string(), "2026-05-12");
/// assert!("2025-11-10".parse::<ApiVersion>().is_ok());
/// assert!("latest\n".parse::<ApiVersion>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApiVersion(HeaderValue);

impl ApiVersion {
    const DEFAULT: HeaderValue = HeaderValue::from_static("2026-05-12");

    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Default for ApiVersion {
    /// `2026-05-12`.
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(version: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !(1..=64).contains(&version.len()) || !version.bytes().all(allowed) {
            return Err(InvalidApiVersion(()));
        }
        HeaderValue::from_str(version)
            .map(Self)
            .map_err(|_| InvalidApiVersion(()))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiVersion({self})")
    }
}

/// The error of a text that is not an [`ApiVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an API version consists of 1 to 64 characters out of A-Z a-z 0-9 - . _, like 2026-05-12")]
pub struct InvalidApiVersion(());

/// Layer of [`ApiHeaders`].
#[derive(Clone, Debug, Default)]
pub struct ApiHeadersLayer {
    version: ApiVersion,
}

impl ApiHeadersLayer {
    /// Asks for this version of the API.
    #[must_use]
    pub fn new(version: ApiVersion) -> Self {
        Self { version }
    }
}

impl<S> Layer<S> for ApiHeadersLayer {
    type Service = ApiHeaders<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ApiHeaders {
            inner,
            version: self.version.clone(),
        }
    }
}

/// Adds the fixed headers of the API, see the [module](self).
#[derive(Clone, Debug)]
pub struct ApiHeaders<S> {
    inner: S,
    version: ApiVersion,
}

fn add(headers: &mut HeaderMap, version: &ApiVersion, body_len: usize) {
    headers.reserve(8);
    headers.insert(ACCEPT, JSON);
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    headers
        .entry(API_VERSION)
        .or_insert_with(|| version.0.clone());
    headers.insert(CONTENT_LENGTH, body_len.into());
    if body_len == 0 {
        headers.remove(CONTENT_TYPE);
    } else {
        headers.insert(CONTENT_TYPE, JSON);
    }
    headers.entry(USER_AGENT).or_insert(USER_AGENT_VALUE);
    headers.insert(SDK, SDK_VALUE);
}

impl<S> Service<Request<Body>> for ApiHeaders<S>
where
    S: Service<Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        let body_len = request.body().len();
        add(request.headers_mut(), &self.version, body_len);
        self.inner.call(request)
    }
}
