//! An attempt layer changes the type of the error.

use clerk_actor_tokens::BoxError;
use tower::util::MapErrLayer;

fn main() {
    let builder = compile_fail::builder()
        .attempt_layer(MapErrLayer::new(|error: BoxError| error.to_string()));
    let _ = builder.build();
}
