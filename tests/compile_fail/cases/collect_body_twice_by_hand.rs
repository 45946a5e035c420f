//! A stack that is built by hand has two CollectBody layers.

use clerk_actor_tokens::{
    Client,
    layer::{CollectBodyLayer, DecodeErrorLayer, JsonLayer, SettleLayer},
};
use compile_fail::Transport;
use tower::ServiceBuilder;

fn main() {
    let stack = ServiceBuilder::new()
        .layer(JsonLayer::new())
        .layer(DecodeErrorLayer::new())
        .layer(SettleLayer::new())
        .layer(CollectBodyLayer::default())
        .layer(CollectBodyLayer::default())
        .service(Transport);
    let _ = Client::new(stack);
}
