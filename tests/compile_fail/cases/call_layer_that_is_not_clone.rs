//! A call layer makes a service that cannot be cloned.

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, BoxError};
use tower::util::BoxService;

fn main() {
    let layer = BoxService::<ActorTokenRequest, ActorToken, BoxError>::layer();
    let builder = compile_fail::builder().call_layer(layer);
    let _ = builder.build();
}
