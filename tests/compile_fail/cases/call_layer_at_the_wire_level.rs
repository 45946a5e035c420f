//! A call layer is passed as a wire layer.

use clerk_actor_tokens::ActorTokenRequest;
use compile_fail::UserLayer;

fn main() {
    let layer = UserLayer::<ActorTokenRequest>::default();
    let builder = compile_fail::builder().wire_layer(layer);
    let _ = builder.build();
}
