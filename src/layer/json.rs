//! Encodes an operation once, and decodes a 200 once.
//!
//! # Position
//!
//! Between the two levels. It stands above retry, so that encoding is not repeated, and so that a
//! 200 whose JSON does not decode can never be sent again: the token behind it exists.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use clerk_actor_tokens::{ActorTokenRequest, ActorTokenStatus, Body, BoxError, layer::JsonLayer};
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new().layer(JsonLayer::new()).service_fn(
//!     |request: Request<Body>| async move {
//!         assert_eq!(request.uri(), "/actor_tokens/act_1/revoke");
//!         let answer = Bytes::from(r#"{"id":"act_1","status":"revoked"}"#);
//!         Ok::<_, BoxError>(Response::new(Full::new(answer)))
//!     },
//! );
//! let request = ActorTokenRequest::revoke("act_1".parse()?);
//! let token = service.ready().await?.call(request).await?;
//! assert_eq!(token.status(), &ActorTokenStatus::Revoked);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future drops the attempts below, nothing else.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE,
    },
};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::refusal::refused;
use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, Body, BoxError,
    CreateActorToken, Error, ErrorKind, Intent, InvalidRequest, Operation, Outcome, call::Progress,
};

/// Where tokens are minted, under the base URL.
pub(crate) const CREATE_PATH: &str = "/actor_tokens";

/// The largest encoded request that is sent, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Headers that frame the message or carry the key; only the stack itself sets them.
const RESERVED: [HeaderName; 9] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Layer of [`Json`].
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLayer(());

impl JsonLayer {
    /// The layer; it has nothing to configure.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for JsonLayer {
    type Service = Json<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Json { inner }
    }
}

/// Encodes an operation and decodes its answer, see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Json<S> {
    inner: S,
}

impl<S> Service<ActorTokenRequest> for Json<S>
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>>,
    S::Error: Into<BoxError>,
{
    type Response = ActorToken;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        let progress = Arc::clone(request.call().progress());
        match encode(request) {
            Ok((request, expected)) => ResponseFuture {
                inner: Some(self.inner.call(request)),
                expected: Some(expected),
                refusal: None,
                progress,
            },
            Err(error) => ResponseFuture {
                inner: None,
                expected: None,
                refusal: Some(error),
                progress,
            },
        }
    }
}

/// The request as the attempt level knows it: a path without base URL, no headers of ours.
fn encode(request: ActorTokenRequest) -> Result<(Request<Body>, Expected), Error> {
    let (operation, headers, extensions, call) = request.into_parts();
    check_headers(&headers)?;
    let (uri, intent, bytes, expected) = match operation {
        Operation::Create(create) => {
            create.validate().map_err(|error| invalid(&error))?;
            let bytes = encode_create(&create)?;
            let life = create.life().unwrap_or(CreateActorToken::DEFAULT_LIFE);
            let user_id = create.into_user_id();
            let uri = Uri::from_static(CREATE_PATH);
            (
                uri,
                Intent::Create,
                bytes,
                Expected::Minted { user_id, life },
            )
        }
        Operation::Revoke(id) => {
            let path = [CREATE_PATH, "/", id.as_str(), "/revoke"].concat();
            let uri = Uri::try_from(path)
                .map_err(|error| refused("its path is not valid in a URL").with_source(error))?;
            (uri, Intent::Revoke, Bytes::new(), Expected::Revoked { id })
        }
    };
    let mut request = Request::new(Body::of_call(intent, bytes, call));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.extensions_mut() = extensions;
    Ok((request, expected))
}

fn check_headers(headers: &HeaderMap) -> Result<(), Error> {
    if headers.is_empty() {
        return Ok(());
    }
    match RESERVED.into_iter().find(|name| headers.contains_key(name)) {
        Some(name) => Err(invalid(&InvalidRequest::ReservedHeader { name })),
        None => Ok(()),
    }
}

fn encode_create(create: &CreateActorToken) -> Result<Bytes, Error> {
    let mut json = Vec::with_capacity(256);
    serde_json::to_writer(&mut json, create)
        .map_err(|_| refused("its claims cannot be written as JSON"))?;
    if json.len() > MAX_REQUEST_BYTES {
        let (bytes, limit) = (json.len(), MAX_REQUEST_BYTES);
        return Err(invalid(&InvalidRequest::TooLarge { bytes, limit }));
    }
    Ok(json.into())
}

fn invalid(error: &InvalidRequest) -> Error {
    refused(&error.to_string())
}

/// What the answer must be about.
#[derive(Debug)]
enum Expected {
    Minted { user_id: String, life: Duration },
    Revoked { id: ActorTokenId },
}

impl Expected {
    /// The token in a 200, if it is the one that was asked for.
    fn decode(self, body: &[u8]) -> Result<ActorToken, Error> {
        let token = ActorToken::from_json(body).map_err(|error| unreadable(&error.to_string()))?;
        match self {
            Self::Minted { user_id, life } => match token.user_id() {
                Some(answered) if answered == user_id => Ok(token.expiring_after(life)),
                Some(_) => {
                    Err(unreadable("it is about another user").with_actor_token_id(Some(token.id)))
                }
                None => Err(unreadable("it does not say which user it is about")
                    .with_actor_token_id(Some(token.id))),
            },
            Self::Revoked { id } if *token.id() == id => Ok(token),
            Self::Revoked { .. } => Err(unreadable("it is about another token")),
        }
    }
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorKind::UnreadableAnswer, Outcome::Applied)
        .with_status(StatusCode::OK)
        .with_detail(why)
}

pin_project! {
    /// The attempts below, and what their answer must be about.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        expected: Option<Expected>,
        refusal: Option<Error>,
        progress: Arc<Progress>,
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Full<Bytes>>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<ActorToken, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let error = this.refusal.take().expect("polled after it was ready");
            return Poll::Ready(Err(error.into()));
        };
        let result = ready!(inner.poll(cx)).map_err(Into::into);
        let expected = this.expected.take().expect("polled after it was ready");
        Poll::Ready(match result {
            Ok(response) => {
                let body = response.into_body().into_inner().unwrap_or_default();
                expected.decode(&body).map_err(Into::into)
            }
            Err(error) => converged(expected, error, this.progress),
        })
    }
}

/// A revoke whose token turns out to be revoked has reached its goal when an earlier attempt of the
/// same call may have done it.
fn converged(
    expected: Expected,
    error: BoxError,
    progress: &Progress,
) -> Result<ActorToken, BoxError> {
    match (expected, error.downcast_ref::<Error>()) {
        (Expected::Revoked { id }, Some(typed))
            if typed.kind() == ErrorKind::AlreadyRevoked
                && progress.settled_outcome() >= Outcome::Unknown =>
        {
            Ok(ActorToken::new(id, ActorTokenStatus::Revoked))
        }
        _ => Err(error),
    }
}
