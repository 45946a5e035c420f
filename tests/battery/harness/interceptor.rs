//! Wire layers that respond instead of the transport.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError};
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tower::{Layer, Service, layer::layer_fn};

type WireBody = UnsyncBoxBody<Bytes, BoxError>;

/// The time at which a wire layer responds itself, and the status.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Intercept {
    /// Passes the response of the layers below on.
    Never,
    /// Responds at once and does not call the layers below, like a circuit breaker.
    AtOnce(u16),
    /// Responds if the layers below take longer than a second, like a timeout.
    AfterASecond(u16),
    /// Replaces the response of the layers below.
    Replace(u16),
}

impl Intercept {
    pub(crate) fn layer<S: Clone>(self) -> impl Layer<S, Service = Interceptor<S>> + Clone {
        layer_fn(move |inner| Interceptor {
            inner,
            intercept: self,
        })
    }
}

#[derive(Clone)]
pub(crate) struct Interceptor<S> {
    inner: S,
    intercept: Intercept,
}

fn response(status: u16) -> Response<WireBody> {
    let page = "<html>MARKER</html>";
    let body = Full::from(page).map_err(Into::into).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

impl<S, B> Service<Request<Body>> for Interceptor<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Intercept::AtOnce(status) = self.intercept {
            return async move { Ok(response(status)) }.boxed();
        }
        let (intercept, future) = (self.intercept, self.inner.call(request));
        async move {
            let future = future.map(|result| {
                let pass = |it: Response<B>| it.map(|it| it.map_err(Into::into).boxed_unsync());
                result.map(pass).map_err(Into::into)
            });
            match intercept {
                Intercept::AfterASecond(status) => {
                    let limited = tokio::time::timeout(Duration::from_secs(1), future).await;
                    limited.unwrap_or_else(|_| Ok(response(status)))
                }
                Intercept::Replace(status) => future.await.map(|_| response(status)),
                _ => future.await,
            }
        }
        .boxed()
    }
}
