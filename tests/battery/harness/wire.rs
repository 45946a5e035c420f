//! Wire layers that make up responses.

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

/// When a wire layer responds by itself, and with which status.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MakeUp {
    /// The response of the layers below is passed on.
    Never,
    /// At once, without a call of the layers below, as a circuit breaker does.
    AtOnce(u16),
    /// If the layers below take longer than a second, as a timeout does.
    AfterASecond(u16),
    /// In place of the response of the layers below.
    InPlace(u16),
}

impl MakeUp {
    pub(crate) fn layer<S: Clone>(self) -> impl Layer<S, Service = MakesUp<S>> + Clone {
        layer_fn(move |inner| MakesUp {
            inner,
            make_up: self,
        })
    }
}

#[derive(Clone)]
pub(crate) struct MakesUp<S> {
    inner: S,
    make_up: MakeUp,
}

fn response(status: u16) -> Response<WireBody> {
    let page = "<html>MARKER</html>";
    let body = Full::from(page).map_err(Into::into).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

impl<S, B> Service<Request<Body>> for MakesUp<S>
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
        if let MakeUp::AtOnce(status) = self.make_up {
            return async move { Ok(response(status)) }.boxed();
        }
        let (make_up, future) = (self.make_up, self.inner.call(request));
        async move {
            let future = future.map(|result| {
                let pass = |it: Response<B>| it.map(|it| it.map_err(Into::into).boxed_unsync());
                result.map(pass).map_err(Into::into)
            });
            match make_up {
                MakeUp::AfterASecond(status) => {
                    let limited = tokio::time::timeout(Duration::from_secs(1), future).await;
                    limited.unwrap_or_else(|_| Ok(response(status)))
                }
                MakeUp::InPlace(status) => future.await.map(|_| response(status)),
                _ => future.await,
            }
        }
        .boxed()
    }
}
