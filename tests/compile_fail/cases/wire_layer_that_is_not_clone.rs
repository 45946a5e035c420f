//! A wire layer makes a service that cannot be cloned.

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
use http_body_util::Full;
use tower::{Layer, Service};

struct Sign<S>(S);

struct SignLayer;

impl<S> Layer<S> for SignLayer {
    type Service = Sign<S>;

    fn layer(&self, inner: S) -> Sign<S> {
        Sign(inner)
    }
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Sign<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        self.0.call(request)
    }
}

fn main() {
    let transport = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let builder = ClientBuilder::over(key, transport).wire_layer(SignLayer);
    let _ = builder.build();
}
