//! A second Settle is passed as a wire layer.

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey, layer::SettleLayer};
use http_body_util::Full;

fn main() {
    let transport = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let builder = ClientBuilder::over(key, transport).wire_layer(SettleLayer::new());
    let _ = builder.build();
}
