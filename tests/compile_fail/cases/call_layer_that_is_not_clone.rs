//! A call layer makes a service that cannot be cloned.

use clerk_actor_tokens::Client;
use compile_fail::NotClone;
use tower::layer::layer_fn;

fn main() {
    let builder = compile_fail::builder().call_layer(layer_fn(NotClone));
    let _: Client = builder.build().unwrap();
}
