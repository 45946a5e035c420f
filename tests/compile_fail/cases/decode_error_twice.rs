//! A second DecodeError is passed as an attempt layer.

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey, layer::DecodeErrorLayer};
use http_body_util::Full;

fn main() {
    let transport = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let builder = ClientBuilder::over(key, transport).attempt_layer(DecodeErrorLayer::new());
    let _ = builder.build();
}
