//! An attempt layer changes the type of the error.

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
use http_body_util::Full;
use tower::util::MapErrLayer;

fn main() {
    let transport = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let builder = ClientBuilder::over(key, transport)
        .attempt_layer(MapErrLayer::new(|error: BoxError| error.to_string()));
    let _ = builder.build();
}
