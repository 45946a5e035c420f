//! A wire layer makes a service that cannot be cloned.

use clerk_actor_tokens::{Body, BoxError};
use compile_fail::TextResponse;
use tower::util::BoxService;

fn main() {
    let layer = BoxService::<http::Request<Body>, TextResponse, BoxError>::layer();
    let builder = compile_fail::builder().wire_layer(layer);
    let _ = builder.build();
}
