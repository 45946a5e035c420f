//! A wire layer that responds to a create by itself once it has waited long enough.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, OperationKind};
use http::{Request, Response};
use http_body_util::{Either, Full};
use tower::Service;

use crate::{program::Call, support::peer::CallNumber};

#[derive(Clone)]
pub(crate) struct MakesUp<S> {
    pub(crate) inner: S,
    pub(crate) plans: Arc<Mutex<Vec<Call>>>,
}

impl<S, B> Service<Request<Body>> for MakesUp<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let CallNumber(call) = *request.extensions().get().expect("a call has a number");
        let is_create = request.body().kind() == OperationKind::Create;
        let made_up = self.plans.lock().unwrap()[call].made_up;
        let future = self.inner.call(request);
        Box::pin(async move {
            let (status, pause) = match made_up.filter(|_| is_create) {
                Some(made_up) => made_up,
                None => return future.await.map(|response| response.map(Either::Left)),
            };
            tokio::select! {
                biased;
                response = future => response.map(|response| response.map(Either::Left)),
                () = pause.wait() => {
                    let page = Either::Right(Full::from("<html></html>"));
                    Ok(Response::builder().status(status).body(page)?)
                }
            }
        })
    }
}
