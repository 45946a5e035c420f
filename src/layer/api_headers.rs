//! Adds the fixed headers of the API to every attempt.
//!
//! | header | value |
//! |---|---|
//! | `accept` | `application/json` |
//! | `accept-encoding` | `identity`: nothing is ever decompressed |
//! | `clerk-api-version` | [`ApiVersion`], `2026-05-12` by default |
//! | `content-length` | `0`, only without a body: hyper sends none then |
//! | `content-type` | `application/json`, only with a body |
//! | `user-agent` | `clerk-actor-tokens/<version>` |
//! | `x-clerk-sdk` | `rust/<version>` |
//!
//! A request's own `clerk-api-version` and `user-agent` are kept. Its own values of all other headers
//! are replaced. The length of a body is set by the transport.
//!
//! # Position
//!
//! In the wire level, above the wire layers of users, so that they see the headers that are sent.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Body, BoxError, OperationKind, layer::ApiHeadersLayer};
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new()
//!     .layer(ApiHeadersLayer::default())
//!     .service_fn(|request: Request<Body>| async move {
//!         assert_eq!(request.headers()["clerk-api-version"], "2026-05-12");
//!         assert!(!request.headers().contains_key("content-type"));
//!         Ok::<_, BoxError>(Response::new("revoked"))
//!     });
//! let request = Request::new(Body::new(OperationKind::Revoke, ""));
//! service.ready().await?.call(request).await?;
//! # Ok(())
//! # }
//! ```

use std::{
    convert::Infallible,
    fmt,
    future::ready,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT},
};
use tower::service_fn;
use tower_http::set_header::SetRequestHeaderLayer as SetHeader;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Body, OperationKind};

const API_VERSION: HeaderName = HeaderName::from_static("clerk-api-version");
const SDK: HeaderName = HeaderName::from_static("x-clerk-sdk");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const ZERO: HeaderValue = HeaderValue::from_static("0");
const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("clerk-actor-tokens/", env!("CARGO_PKG_VERSION")));
const SDK_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("rust/", env!("CARGO_PKG_VERSION")));

/// How many headers a request has on the wire: those of this layer, the key, the host and the length.
const HEADERS: usize = 9;

type Set = SetHeader<HeaderValue>;
/// One layer of tower-http for each header.
type SetHeaders = (Set, Set, Set, Set, Set);

#[derive(Debug)]
struct Headers {
    set: SetHeaders,
    /// The client's headers, for requests without one of the same name.
    defaults: HeaderMap,
    /// The headers of a request that brings none of its own: with a body, and without one. To copy them
    /// takes 2,000 instructions less than to set them.
    with_body: HeaderMap,
    without_body: HeaderMap,
}

impl Headers {
    fn new(set: SetHeaders, defaults: HeaderMap) -> Self {
        let on_empty = |kind, bytes: &'static str| {
            let mut request = Request::new(Body::new(kind, bytes));
            request.headers_mut().clone_from(&defaults);
            request.headers_mut().reserve(HEADERS);
            describe_body(&mut request);
            let take = |request: Request<Body>| {
                ready(Ok::<_, Infallible>(Response::new(
                    request.into_parts().0.headers,
                )))
            };
            let Ok(response) = set.layer(service_fn(take)).call(request).into_inner();
            response.into_body()
        };
        Self {
            with_body: on_empty(OperationKind::Create, "{}"),
            without_body: on_empty(OperationKind::Revoke, ""),
            set,
            defaults,
        }
    }
}

/// Sets the headers that describe the body, whatever the request brings: a value that is wrong for the
/// body would corrupt the message.
fn describe_body(request: &mut Request<Body>) {
    let is_empty = request.body().is_empty();
    let headers = request.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_TYPE);
    if is_empty {
        // hyper sends a POST without a body without this header.
        headers.insert(CONTENT_LENGTH, ZERO);
    } else {
        headers.insert(CONTENT_TYPE, JSON);
    }
}

/// Layer of [`ApiHeaders`].
#[derive(Clone, Debug)]
pub struct ApiHeadersLayer {
    headers: Arc<Headers>,
}

impl ApiHeadersLayer {
    /// Requests this version of the API.
    #[must_use]
    pub fn new(version: ApiVersion) -> Self {
        Self::with_defaults(version, HeaderMap::new())
    }

    /// Adds `defaults` to each request that has no header of the same name.
    pub(crate) fn with_defaults(version: ApiVersion, defaults: HeaderMap) -> Self {
        let set = (
            SetHeader::overriding(ACCEPT, JSON),
            SetHeader::overriding(ACCEPT_ENCODING, IDENTITY),
            SetHeader::if_not_present(API_VERSION, version.0),
            SetHeader::if_not_present(USER_AGENT, USER_AGENT_VALUE),
            SetHeader::overriding(SDK, SDK_VALUE),
        );
        Self {
            headers: Arc::new(Headers::new(set, defaults)),
        }
    }
}

impl Default for ApiHeadersLayer {
    fn default() -> Self {
        Self::new(ApiVersion::default())
    }
}

impl<S> Layer<S> for ApiHeadersLayer {
    type Service = ApiHeaders<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ApiHeaders {
            inner,
            headers: Arc::clone(&self.headers),
        }
    }
}

/// Adds the fixed headers of the API, see the [module](self).
#[derive(Clone, Debug)]
pub struct ApiHeaders<S> {
    inner: S,
    // Shared, so that the stack is cheap to clone.
    headers: Arc<Headers>,
}

impl<S, B> Service<Request<Body>> for ApiHeaders<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        if request.headers().is_empty() {
            let is_empty = request.body().is_empty();
            let headers = match is_empty {
                true => &self.headers.without_body,
                false => &self.headers.with_body,
            };
            request.headers_mut().clone_from(headers);
            return self.inner.call(request);
        }
        for (name, value) in &self.headers.defaults {
            let own = request.headers_mut().entry(name);
            own.or_insert_with(|| value.clone());
        }
        describe_body(&mut request);
        self.headers.set.layer(&mut self.inner).call(request)
    }
}

/// The version of the API that is requested, in the header `clerk-api-version`: a date.
///
/// ```
/// use clerk_actor_tokens::layer::ApiVersion;
///
/// assert_eq!(ApiVersion::default().to_string(), "2026-05-12");
/// assert!("2025-11-10".parse::<ApiVersion>().is_ok());
/// assert!("latest".parse::<ApiVersion>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApiVersion(HeaderValue);

impl ApiVersion {
    /// Returns the version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Default for ApiVersion {
    /// `2026-05-12`.
    fn default() -> Self {
        Self(HeaderValue::from_static("2026-05-12"))
    }
}

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(version: &str) -> Result<Self, Self::Err> {
        let fits = |(byte, wanted): (u8, u8)| match wanted {
            b'-' => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        let is_date = version.len() == 10 && version.bytes().zip(*b"2026-05-12").all(fits);
        let value = HeaderValue::from_str(version).ok().filter(|_| is_date);
        value.map(Self).ok_or(InvalidApiVersion(()))
    }
}

impl TryFrom<&str> for ApiVersion {
    type Error = InvalidApiVersion;

    fn try_from(version: &str) -> Result<Self, Self::Error> {
        version.parse()
    }
}

impl TryFrom<String> for ApiVersion {
    type Error = InvalidApiVersion;

    fn try_from(version: String) -> Result<Self, Self::Error> {
        version.parse()
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
#[error("an API version is a date like 2026-05-12")]
pub struct InvalidApiVersion(());
