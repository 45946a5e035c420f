//! A call layer expects `Error` from the layers below it.

use bytes::Bytes;
use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Body, BoxError, ClientBuilder, Error, SecretKey,
};
use http_body_util::Full;
use tower::{Layer, Service};

#[derive(Clone)]
struct Audit<S>(S);

struct AuditLayer;

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        Audit(inner)
    }
}

impl<S> Service<ActorTokenRequest> for Audit<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error>,
{
    type Response = ActorToken;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> S::Future {
        self.0.call(request)
    }
}

fn main() {
    let transport = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let builder = ClientBuilder::over(key, transport).call_layer(AuditLayer);
    let _ = builder.build();
}
