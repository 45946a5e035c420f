//! tower-http's TraceLayer is passed as an attempt layer.

use clerk_actor_tokens::Client;

fn main() {
    let builder =
        compile_fail::builder().attempt_layer(tower_http::trace::TraceLayer::new_for_http());
    let _: Client = builder.build().unwrap();
}
