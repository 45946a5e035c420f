//! tower's retry is passed as a wire layer, where a request can be sent once only.

use std::future::{Ready, ready};

use clerk_actor_tokens::Client;
use tower::retry::{Policy, RetryLayer};

#[derive(Clone)]
struct Always;

impl<Q: Clone, T, E> Policy<Q, T, E> for Always {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, result: &mut Result<T, E>) -> Option<Ready<()>> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

fn main() {
    let builder = compile_fail::builder().wire_layer(RetryLayer::new(Always));
    let _: Client = builder.build().unwrap();
}
