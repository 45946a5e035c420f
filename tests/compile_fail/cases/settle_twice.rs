//! A second Settle is passed as a wire layer.

use clerk_actor_tokens::layer::SettleLayer;

fn main() {
    let builder = compile_fail::builder().wire_layer(SettleLayer::new());
    let _ = builder.build();
}
