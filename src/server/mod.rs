//! Serves Clerk's wire protocol from any `Service<ActorTokenRequest>`: the mirror of the client.
//!
//! Put [`ActorTokensApi`] over a [`Client`](crate::Client) and it is a gateway that any Clerk SDK can
//! be pointed at: with limits, guards and audit in one place, and a key of its own. Put it over the
//! sandbox and it is a stand-in for Clerk.
//!
//! What is checked, and in this order:
//!
//! | check | refused with |
//! |---|---|
//! | route: `POST {base}/actor_tokens`, `POST {base}/actor_tokens/{id}/revoke` | 404, 405 |
//! | key: `Authorization: Bearer …` | 401 |
//! | API version: header or query, not both, a documented one, or none | 400 |
//! | a create's `content-type`: `application/json` | 415 |
//! | body: at most 64 KiB | 413 |
//! | a create's body: one JSON object without unknown fields | 400, 422 |
//!
//! What the service fails with is answered so that a client draws the right conclusion: **a failure
//! that may have taken effect is never answered with a 4xx**, whatever status came from further up.
//! Over a [`Client`](crate::Client), errors of layers that are not this crate's are answered like all
//! others, by what became of the call: with 503 and "Nothing has changed" where nothing was sent. Over
//! another service, which tells no outcome, they are answered with 500. Nothing of their text is shown. The
//! id of a token that is concerned all the same stands in the answer, as `meta.actor_token_id`. That the API
//! refused the key of the client is the fault of nobody who asked, and answered with 502.
//!
//! # Guards
//!
//! So whoever refuses on purpose says so in the API's terms, by [`Error::api`](crate::Error::api), in a
//! [call layer](crate::ClientBuilder::call_layer) of the client or above it; with a 5xx, by
//! [`Error::not_sent`](crate::Error::not_sent), too. What the request brought is at hand as [`Inbound`].
//! `examples/gateway.rs` serves the like over HTTP.
//!
//! ```
//! use clerk_actor_tokens::{
//!     ActorTokenRequest, ClerkError, ClerkErrors, ClientBuilder, Error, SecretKey,
//!     sandbox::Sandbox, server::{ActorTokensApi, Inbound},
//! };
//! use http::{Request, StatusCode};
//! use tower::{ServiceExt, filter::FilterLayer};
//!
//! /// Lets nobody in who does not say for whom it is.
//! fn named(request: ActorTokenRequest) -> Result<ActorTokenRequest, Error> {
//!     let inbound = request.extensions().get::<Inbound>();
//!     if inbound.is_some_and(|it| it.headers().contains_key("x-operator")) {
//!         return Ok(request);
//!     }
//!     let why = ClerkError::new("operator_missing", "no operator", "Say who asks by x-operator.");
//!     Err(Error::api(StatusCode::FORBIDDEN, ClerkErrors::new(why)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
//! # let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .call_layer(FilterLayer::new(named))
//!     .build()?;
//! let api = ActorTokensApi::new(client, SecretKey::new("sk_test_gateway")?);
//!
//! let request = Request::post("/v1/actor_tokens/act_1/revoke")
//!     .header("authorization", "Bearer sk_test_gateway")
//!     .body(http_body_util::Empty::<bytes::Bytes>::new())?;
//! assert_eq!(api.oneshot(request).await?.status(), 403);
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness
//!
//! The API itself is always ready. A request takes a clone of the service, and waits until this
//! clone is ready, only once it was read and found right: who sends slowly, or what is refused, holds
//! no capacity of the service.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{
//!     ActorToken, ActorTokenRequest, ActorTokenStatus, BoxError, Operation, SecretKey,
//!     server::ActorTokensApi,
//! };
//! use http::Request;
//! use http_body_util::{BodyExt, Empty};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let revoker = tower::service_fn(|request: ActorTokenRequest| async move {
//!     match request.operation() {
//!         Operation::Revoke(id) => Ok(ActorToken::new(id.clone(), ActorTokenStatus::Revoked)),
//!         _ => Err(BoxError::from("only revokes are served here")),
//!     }
//! });
//! let api = ActorTokensApi::new(revoker, SecretKey::new("sk_test_gateway")?);
//!
//! let request = Request::post("/v1/actor_tokens/act_1/revoke")
//!     .header("authorization", "Bearer sk_test_gateway")
//!     .body(Empty::<bytes::Bytes>::new())?;
//! let answer = api.oneshot(request).await?;
//! assert_eq!(answer.status(), 200);
//! let body = answer.into_body().collect().await?.to_bytes();
//! assert_eq!(body, r#"{"object":"actor_token","id":"act_1","status":"revoked"}"#);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future, as servers do when the peer goes away, drops the call of the service: over a
//! [`Client`](crate::Client), what that may still mint is revoked. From the answer on the token is the
//! caller's. Whether the answer arrives then, nobody here can know.

pub(crate) mod answer;
mod auth;
pub(crate) mod collect;
mod content_type;
pub(crate) mod create_body;
mod failure;
mod future;
mod inbound;
pub(crate) mod refusal;
mod route;
mod version;

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

use self::{auth::Access, route::BasePath};
pub use self::{future::ResponseFuture, inbound::Inbound};
use crate::{ActorToken, ActorTokenRequest, BoxError, SecretKey};

/// Serves Clerk's wire protocol from a `Service<ActorTokenRequest>`, see the [module](self).
#[derive(Clone)]
pub struct ActorTokensApi<S> {
    service: S,
    access: Access,
    base_path: Arc<BasePath>,
}

impl<S> ActorTokensApi<S> {
    /// Serves from `service` whoever presents `key`. That is a key of the API's own: it has nothing
    /// to do with the one that a client below uses.
    #[must_use]
    pub fn new(service: S, key: SecretKey) -> Self {
        Self::with_access(service, Access::with_key(key))
    }

    /// Serves **whoever asks**, without any check of a key.
    ///
    /// # Danger
    ///
    /// Whoever reaches this service signs in as any user it is asked for, past their second factor.
    /// It is meant to stand behind an authentication of your own, one that refuses a request before
    /// it gets here. Never expose it otherwise, not even in an internal network.
    #[must_use]
    pub fn unauthenticated(service: S) -> Self {
        Self::with_access(service, Access::Open)
    }

    fn with_access(service: S, access: Access) -> Self {
        Self {
            service,
            access,
            base_path: Arc::default(),
        }
    }

    /// Accepts this key, too: while keys are rotated, or one for each client. On an API that is
    /// [`unauthenticated`](Self::unauthenticated), a key is required from then on.
    #[must_use]
    pub fn accept_key(mut self, key: SecretKey) -> Self {
        self.access = self.access.and_key(key);
        self
    }

    /// The path under which the operations are served, `""` for none: where a router strips a
    /// prefix itself, for instance. Default: `/v1`.
    #[must_use]
    pub fn base_path(mut self, path: &str) -> Self {
        self.base_path = Arc::new(BasePath::new(path));
        self
    }
}

impl<S, B> Service<Request<B>> for ActorTokensApi<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken> + Clone,
    S::Error: Into<BoxError>,
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ResponseFuture<S, B, S::Future>;

    /// Always ready, see the [module](self#readiness).
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let admitted = route::find(&self.base_path, &head).and_then(|route| {
            self.access.check(&head.headers)?;
            version::check(&head)?;
            if route == route::Route::Create {
                content_type::check(&head.headers)?;
            }
            Ok(route)
        });
        match admitted {
            Ok(route) => ResponseFuture::reading(self.service.clone(), route, head, body),
            Err(refusal) => ResponseFuture::refused(refusal),
        }
    }
}

impl<S> fmt::Debug for ActorTokensApi<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorTokensApi")
            .field("access", &self.access)
            .field("base_path", &self.base_path)
            .finish_non_exhaustive()
    }
}
