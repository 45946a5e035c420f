//! A second CollectBody is passed as a wire layer.

use clerk_actor_tokens::layer::CollectBodyLayer;

fn main() {
    let builder = compile_fail::builder().wire_layer(CollectBodyLayer::default());
    let _ = builder.build();
}
