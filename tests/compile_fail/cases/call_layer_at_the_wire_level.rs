//! A call layer is passed as a wire layer.

use bytes::Bytes;
use clerk_actor_tokens::{ActorTokenRequest, Body, BoxError, ClientBuilder, SecretKey};
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

impl<S: Service<ActorTokenRequest>> Service<ActorTokenRequest> for Audit<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
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
    let builder = ClientBuilder::over(key, transport).wire_layer(AuditLayer);
    let _ = builder.build();
}
