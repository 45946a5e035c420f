//! A stack that is built by hand has no DecodeError between Json and Settle.

use clerk_actor_tokens::{
    Client,
    layer::{CollectBodyLayer, JsonLayer, SettleLayer},
};
use compile_fail::transport;
use tower::ServiceBuilder;

fn main() {
    let stack = ServiceBuilder::new()
        .layer(JsonLayer::new())
        .layer(SettleLayer::new())
        .layer(CollectBodyLayer::default())
        .service(transport());
    let _ = Client::new(stack);
}
