//! Encodes an operation and decodes its response, once per call.
//!
//! # Position
//!
//! Between the call level and the attempt level. It is above retry, so that a create is not sent again
//! after a 200 that does not decode: its token may exist.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{
//!     ActorTokenRequest, ActorTokenStatus, BoxError, Payload, TokenResponse, layer::JsonLayer,
//! };
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new().layer(JsonLayer::new()).service_fn(
//!     |request: Request<Payload>| async move {
//!         assert_eq!(request.uri(), "/actor_tokens/act_1/revoke");
//!         let body = TokenResponse::new(r#"{"id":"act_1","status":"revoked"}"#);
//!         Ok::<_, BoxError>(Response::new(body))
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
//! Dropping the future drops the inner future. A token that it returned is revoked when its
//! [`Ticket`](crate::Ticket) is dropped unread, if [`SettleLayer`](super::SettleLayer) is below.

mod encode;
mod expected;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use self::encode::CREATE_PATH;
use self::expected::Expected;
use super::refusal;
use crate::{ActorToken, ActorTokenRequest, BoxError, Payload, TokenResponse, call::CallRecord};

/// Layer of [`Json`].
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLayer {
    trusts_headers: bool,
}

impl JsonLayer {
    /// Creates the layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a layer that accepts reserved headers, because a compensating revoke has the headers that
    /// layers added to its create.
    pub(crate) fn trusting_headers() -> Self {
        Self {
            trusts_headers: true,
        }
    }
}

impl<S> Layer<S> for JsonLayer {
    type Service = Json<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Json {
            inner,
            trusts_headers: self.trusts_headers,
        }
    }
}

/// Encodes an operation and decodes its response, see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Json<S> {
    inner: S,
    trusts_headers: bool,
}

impl<S> Service<ActorTokenRequest> for Json<S>
where
    S: Service<Request<Payload>, Response = Response<TokenResponse>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = ActorToken;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        let (inner, call) = match encode::encode(request, self.trusts_headers) {
            Ok((request, expected)) => {
                let record = Arc::clone(&request.body().parts.record);
                let inner = refusal::ResponseFuture::called(self.inner.call(request));
                (inner, Some((expected, record)))
            }
            Err(error) => (
                refusal::ResponseFuture::refused(&mut self.inner, error),
                None,
            ),
        };
        ResponseFuture { inner, call }
    }
}

pin_project! {
    /// The future of [`Json`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: refusal::ResponseFuture<F>,
        // `None` if the request was refused.
        call: Option<(Expected, Arc<CallRecord>)>,
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<TokenResponse>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<ActorToken, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let Some((expected, record)) = this.call.take() else {
            return Poll::Ready(result.map(|_| panic!("polled after it was ready")));
        };
        let token = match result {
            Ok(response) => expected.decode(response.into_body()).map_err(|error| {
                // A layer made up the response to a request that was not sent or was rejected.
                let outcome = record.outcome();
                let is_made_up = record.attempts() > 0 && outcome.is_without_effect();
                match is_made_up {
                    true => error.with_outcome(outcome).into(),
                    false => error.into(),
                }
            }),
            Err(error) => expected.converge(error, &record),
        };
        if token.is_ok() {
            record.note_applied();
        }
        Poll::Ready(token)
    }
}

crate::text::opaque_debug!(ResponseFuture<F>);
