//! A stack that is built by hand has two Settle layers.

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, Client,
    layer::{CollectBodyLayer, DecodeErrorLayer, JsonLayer, SettleLayer},
};
use http_body_util::Full;
use tower::ServiceBuilder;

fn main() {
    let transport = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let stack = ServiceBuilder::new()
        .layer(JsonLayer::new())
        .layer(DecodeErrorLayer::new())
        .layer(SettleLayer::new())
        .layer(SettleLayer::new())
        .layer(CollectBodyLayer::default())
        .service(transport);
    let _ = Client::new(stack);
}
