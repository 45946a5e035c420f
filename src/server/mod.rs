//! Serves Clerk's wire protocol from a `Service<ActorTokenRequest>`.
//!
//! Over a [`Client`](crate::Client), [`ActorTokensApi`] is a gateway for any Clerk SDK, with its own key
//! and with your layers for limits, authorization and audit. Over the sandbox it replaces Clerk in tests.
//!
//! Requests are checked in this order:
//!
//! | check | refused with |
//! |---|---|
//! | route: `POST {base}/actor_tokens`, `POST {base}/actor_tokens/{id}/revoke` | 404, 405 |
//! | key: `Authorization: Bearer …` | 401 |
//! | API version: none, or a documented one in the header or in the query | 400 |
//! | `content-type` of a create: `application/json` | 415 |
//! | body: at most 64 KiB | 413 |
//! | body of a create: one JSON object without unknown fields | 400, 422 |
//!
//! A failure of the service becomes a response as follows:
//!
//! * **A call that may have taken effect never becomes a 4xx**, whatever the API's status.
//! * The API's status is passed on, unless it is about the gateway's own key or connection: 401, 407, 421
//!   and 425 become 502; 408, 460 and 499 become 504.
//! * A foreign error of a [`Client`](crate::Client) becomes a response by the outcome of the call, for
//!   example a 503 if nothing was sent. A foreign error of another service becomes a 500. The text of a
//!   foreign error is never shown.
//! * The id of a token that a failed call minted is in `meta.actor_token_id`.
//!
//! # Refusing requests
//!
//! A layer above the client, or a [call layer](crate::ClientBuilder::call_layer), refuses a request with
//! [`Error::refused`](crate::Error::refused). The extensions of the request have its headers, as
//! [`Inbound`], and the name of the key that its caller presented, as [`KeyName`].
//!
//! # Example
//!
//! `examples/gateway.rs` serves a client over HTTP.
//!
//! ```
//! use clerk_actor_tokens::{
//!     ActorToken, ActorTokenRequest, ActorTokenStatus, BoxError, ClerkError, ClerkErrors, Error,
//!     Operation, SecretKey, server::{ActorTokensApi, Inbound},
//! };
//! use http::{Request, StatusCode};
//! use http_body_util::{BodyExt, Empty};
//! use tower::{Layer, ServiceExt, filter::FilterLayer};
//!
//! /// Refuses requests that do not name their operator.
//! fn named(request: ActorTokenRequest) -> Result<ActorTokenRequest, Error> {
//!     let inbound = request.extensions().get::<Inbound>();
//!     if inbound.is_some_and(|it| it.headers().contains_key("x-operator")) {
//!         return Ok(request);
//!     }
//!     let why = ClerkError::new("operator_missing", "no operator", "Set the header x-operator.");
//!     Err(Error::refused(StatusCode::FORBIDDEN, ClerkErrors::new(why)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let revoker = tower::service_fn(|request: ActorTokenRequest| async move {
//!     match request.operation() {
//!         Operation::Revoke(id) => Ok(ActorToken::new(id.clone(), ActorTokenStatus::Revoked)),
//!         _ => Err(BoxError::from("only revokes are served here")),
//!     }
//! });
//! let service = FilterLayer::new(named).layer(revoker);
//! let api = ActorTokensApi::new(service, SecretKey::new("sk_test_q8Zt3vN0cXwL5rYd")?)?;
//!
//! let revoke = || {
//!     Request::post("/v1/actor_tokens/act_1/revoke")
//!         .header("authorization", "Bearer sk_test_q8Zt3vN0cXwL5rYd")
//! };
//! let request = revoke().body(Empty::<bytes::Bytes>::new())?;
//! assert_eq!(api.clone().oneshot(request).await?.status(), 403);
//!
//! let request = revoke().header("x-operator", "jo").body(Empty::<bytes::Bytes>::new())?;
//! let response = api.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! let body = response.into_body().collect().await?.to_bytes();
//! assert_eq!(body, r#"{"object":"actor_token","id":"act_1","status":"revoked"}"#);
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness
//!
//! It is always ready. The response future waits for a clone of the service, after it has read and
//! checked the request. So slow or refused requests use no capacity of the service.
//!
//! # Cancel safety
//!
//! Servers drop the response future when the peer disconnects. This drops the call, so a
//! [`Client`](crate::Client) revokes the token that it may mint. A [`ResponseBody`] dropped before its
//! first poll also revokes its token. After that poll the token belongs to the caller.

pub(crate) mod body;
mod head;
mod inbound;
mod keys;
pub(crate) mod response;
mod response_body;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, request::Parts};
use http_body::Body;
use tower::ServiceExt;
use tower_service::Service;

use self::head::Route;
pub use self::{
    inbound::Inbound,
    keys::{AcceptedKeys, KeyName},
    response_body::ResponseBody,
};
use crate::{ActorToken, ActorTokenRequest, BoxError, Error, InvalidSecretKey, SecretKey};

/// Serves Clerk's wire protocol from a `Service<ActorTokenRequest>`, see the [module](self).
#[derive(Clone)]
pub struct ActorTokensApi<S> {
    service: S,
    /// `None` accepts every caller.
    keys: Option<Arc<[AcceptedKeys]>>,
    base_path: Arc<str>,
}

impl<S> ActorTokensApi<S> {
    /// Serves `service` to callers with this key. It is a key of the gateway, not the client's key.
    ///
    /// # Errors
    ///
    /// When the key has fewer than 16 characters after its prefix, because it could be guessed.
    pub fn new(service: S, key: SecretKey) -> Result<Self, InvalidSecretKey> {
        Ok(Self::unauthenticated(service).accept_any_key(keys::strong(key)?))
    }

    /// Serves `service` to callers with one of these keys, which may change while it serves.
    #[must_use]
    pub fn with_keys(service: S, keys: AcceptedKeys) -> Self {
        Self::unauthenticated(service).accept(keys)
    }

    /// Serves **every caller**, without a key check.
    ///
    /// # Danger
    ///
    /// Any caller can sign in as any user, without the user's second factor. Add your own authentication
    /// in front. Never expose it without, not even in an internal network.
    #[must_use]
    pub fn unauthenticated(service: S) -> Self {
        Self {
            service,
            keys: None,
            base_path: "/v1".into(),
        }
    }

    /// Accepts this key as well, and puts its name into the extensions of each request, as a
    /// [`KeyName`]. After [`unauthenticated`](Self::unauthenticated), a key is required from then on.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn accept_key(self, name: &str, key: SecretKey) -> Result<Self, InvalidSecretKey> {
        let keys = AcceptedKeys::new();
        keys.set(name, [key])?;
        Ok(self.accept(keys))
    }

    /// Accepts a key of any length, without a name.
    pub(crate) fn accept_any_key(self, key: SecretKey) -> Self {
        self.accept(AcceptedKeys::unnamed(key))
    }

    fn accept(mut self, keys: AcceptedKeys) -> Self {
        let earlier = self.keys.iter().flat_map(|keys| keys.iter().cloned());
        self.keys = Some(earlier.chain([keys]).collect());
        self
    }

    /// Sets the path prefix of the operations. Default: `/v1`. Use `""` if a router strips the prefix.
    #[must_use]
    pub fn base_path(mut self, path: &str) -> Self {
        self.base_path = match path.trim_matches('/') {
            "" => "".into(),
            path => format!("/{path}").into(),
        };
        self
    }

    /// Checks the head of a request.
    fn admit(&self, head: &Parts) -> Result<(Route, Option<KeyName>), Error> {
        let route = head::route(&self.base_path, head)?;
        let name = self.check_caller(head)?;
        if route == Route::Create {
            head::check_content_type(&head.headers)?;
        }
        Ok((route, name))
    }

    /// Checks key and API version, and returns the name of the key.
    pub(crate) fn check_caller(&self, head: &Parts) -> Result<Option<KeyName>, Error> {
        let keys = self.keys.as_ref();
        let name = keys.map(|keys| head::check_key(keys, &head.headers));
        let name = name.transpose()?.flatten();
        head::check_version(head)?;
        Ok(name)
    }
}

impl<S, B> Service<Request<B>> for ActorTokensApi<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    /// Always ready, see the [module](self#readiness).
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let (head, body) = request.into_parts();
        let admitted = self.admit(&head).map(|it| (it, self.service.clone()));
        let result = async move {
            let ((route, name), service) = admitted?;
            let mut request = decode(route, head, &body::read(body).await?)?;
            if let Some(name) = name {
                request.extensions_mut().insert(name);
            }
            service.oneshot(request).await.map_err(Into::into)
        };
        ResponseFuture(Box::pin(async { response::of_result(result.await) }))
    }
}

/// Decodes the request for the service. The body of a revoke is ignored.
fn decode(route: Route, head: Parts, body: &[u8]) -> Result<ActorTokenRequest, Error> {
    let mut request = match route {
        Route::Create => ActorTokenRequest::create(body::decode(body)?),
        Route::Revoke(id) => ActorTokenRequest::revoke(id),
    };
    let extensions = request.extensions_mut();
    extensions.extend(head.extensions);
    extensions.insert(Inbound::new(head.headers));
    Ok(request)
}

crate::text::opaque_debug!(ActorTokensApi<S>, |it| keys: it.keys, base_path: it.base_path);

/// The response future of [`ActorTokensApi`].
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

crate::text::opaque_debug!(ResponseFuture);
