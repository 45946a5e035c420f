//! An observer layer changes the type of the error.

use clerk_actor_tokens::{BoxError, Error};
use tower::util::MapErrLayer;

fn main() {
    let builder = compile_fail::builder()
        .observe_layer(MapErrLayer::new(|error: Error| BoxError::from(error)));
    let _ = builder.build();
}
