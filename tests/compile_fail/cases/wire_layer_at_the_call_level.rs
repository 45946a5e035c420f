//! A wire layer is passed as a call layer.

use clerk_actor_tokens::Body;
use compile_fail::UserLayer;

fn main() {
    let layer = UserLayer::<http::Request<Body>>::default();
    let builder = compile_fail::builder().call_layer(layer);
    let _ = builder.build();
}
