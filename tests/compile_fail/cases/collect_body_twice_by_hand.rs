//! A stack that is built by hand has two CollectBody layers.

use clerk_actor_tokens::{
    Client,
    layer::{CollectBodyLayer, DecodeErrorLayer, JsonLayer, SettleLayer},
};
use compile_fail::transport;
use tower::ServiceBuilder;

fn main() {
    let stack = ServiceBuilder::new()
        .layer(JsonLayer::new())
        .layer(DecodeErrorLayer::new())
        .layer(SettleLayer::new())
        .layer(CollectBodyLayer::default())
        .layer(CollectBodyLayer::default())
        .service(transport());
    let _ = Client::new(stack);
}
