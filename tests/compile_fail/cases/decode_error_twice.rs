//! A second DecodeError is passed as an attempt layer.

use clerk_actor_tokens::layer::DecodeErrorLayer;

fn main() {
    let builder = compile_fail::builder().attempt_layer(DecodeErrorLayer::new());
    let _ = builder.build();
}
