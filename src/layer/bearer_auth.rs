//! Adds the secret key: `Authorization: Bearer sk_…`, marked sensitive.
//!
//! # Position
//!
//! Lowest of all layers, directly above the transport, so that no other layer can see or log the key. It
//! replaces any `Authorization` header. It records the status from the transport, because a wire layer
//! above may make up a response.
//!
//! The key is sent to the base authority only: a request to another host is refused before any I/O. So is
//! a header that only the transport may set, such as `host` or `transfer-encoding`, and a wrong
//! `content-length`, because a server could read such a request as two or route it to another host.
//!
//! Every attempt takes the key from the [`KeySource`]. After a 401, retry repeats the attempt once per call
//! if the key may have been rotated.
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

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH},
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::refusal::{is_framing, refused};
use crate::{BaseUrl, Body, BoxError, Error, ErrorKind, KeySource, Outcome, call::Attempt};

/// Layer of [`BearerAuth`].
#[derive(Clone, Debug)]
pub struct BearerAuthLayer {
    source: KeySource,
    bases: Vec<BaseUrl>,
}

impl BearerAuthLayer {
    /// Sends the key to the scheme, host and port of `base`.
    pub fn new(source: impl Into<KeySource>, base: BaseUrl) -> Self {
        Self {
            source: source.into(),
            bases: vec![base],
        }
    }

    /// Sends the key to the scheme, host and port of `other`, too.
    #[must_use]
    pub fn allow(mut self, other: BaseUrl) -> Self {
        self.bases.push(other);
        self
    }

    /// Refuses a request that must not be sent with the key.
    fn check(&self, request: &Request<Body>) -> Result<(), Error> {
        let is_ours = |base: &BaseUrl| base.is_authority_of(request.uri());
        if !self.bases.iter().any(is_ours) {
            return Err(refused("its host is not one that the secret key is for"));
        }
        let is_length = |value: &HeaderValue| match request.body().len() {
            0 => value == "0",
            length => *value == length.to_string(),
        };
        let mut lengths = 0;
        for (name, value) in request.headers() {
            if *name == CONTENT_LENGTH {
                lengths += 1;
                if lengths > 1 || !is_length(value) {
                    return Err(refused("a layer has set a wrong content-length"));
                }
            } else if is_framing(name) {
                return Err(refused(format!("a layer has set the header {name}")));
            }
        }
        Ok(())
    }
}

impl<S> Layer<S> for BearerAuthLayer {
    type Service = BearerAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth {
            inner,
            config: Arc::new(self.clone()),
        }
    }
}

/// Adds the secret key, see the [module](self).
#[derive(Clone, Debug)]
pub struct BearerAuth<S> {
    inner: S,
    // Shared, so that the stack is cheap to clone.
    config: Arc<BearerAuthLayer>,
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
        let source = &self.config.source;
        let state = if let Err(error) = self.config.check(&request) {
            // Releases the reserved readiness, such as a concurrency permit.
            self.inner = self.inner.clone();
            State::Refused { error: Some(error) }
        } else if let Some(key) = source.current() {
            send(&mut self.inner, request, key)
        } else {
            // The request waits for the key with the instance that was polled ready.
            let clone = self.inner.clone();
            let ready = std::mem::replace(&mut self.inner, clone);
            State::ReadingKey {
                key: Box::pin(source.clone().fetch()),
                waiting: Some(Box::new((ready, request))),
            }
        };
        ResponseFuture {
            state,
            source: source.clone(),
        }
    }
}

/// A response extension: the API refused a key that may have been rotated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StaleKey;

pin_project! {
    /// The future of [`BearerAuth`].
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, S::Future>,
        source: KeySource,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Refused {
            error: Option<Error>,
        },
        // The key provider reads the key.
        ReadingKey {
            key: Pin<Box<dyn Future<Output = Result<HeaderValue, BoxError>> + Send>>,
            // Boxed, because this state is rare and a request is large.
            waiting: Option<Box<(S, Request<Body>)>>,
        },
        Sent {
            #[pin]
            future: F,
            key: HeaderValue,
            attempt: Attempt,
        },
    }
}

fn send<S>(service: &mut S, mut request: Request<Body>, key: HeaderValue) -> State<S, S::Future>
where
    S: Service<Request<Body>>,
{
    request.headers_mut().insert(AUTHORIZATION, key.clone());
    request.body_mut().is_watched = true;
    let attempt = request.body().attempt_handle();
    State::Sent {
        future: service.call(request),
        key,
        attempt,
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let sent = match this.state.as_mut().project() {
                StateProj::Refused { error } => {
                    let error = error.take().expect("polled after it was ready");
                    return Poll::Ready(Err(error.into()));
                }
                StateProj::ReadingKey { key, waiting } => {
                    let key = ready!(key.as_mut().poll(cx)).map_err(no_key)?;
                    let waiting = waiting.take().expect("polled after it was ready");
                    let (mut service, request) = *waiting;
                    send(&mut service, request, key)
                }
                StateProj::Sent {
                    future,
                    key,
                    attempt,
                } => {
                    let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                    attempt.note_response(response.status());
                    // A transport may return the extensions of an earlier exchange.
                    response.extensions_mut().remove::<StaleKey>();
                    if response.status() == StatusCode::UNAUTHORIZED && this.source.refuse(key) {
                        response.extensions_mut().insert(StaleKey);
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            this.state.set(sent);
        }
    }
}

fn no_key(error: BoxError) -> Error {
    Error::new(ErrorKind::Key, Outcome::NotSent)
        .permanent(true)
        .with_source(error)
}

crate::text::opaque_debug!(ResponseFuture<S> where S: Service<Request<Body>>);
