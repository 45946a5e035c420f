//! `Client::new` is called with a service that cannot be cloned.

use std::future::{Ready, ready};

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, BoxError, Client};
use tower::Service;

struct Double;

impl Service<ActorTokenRequest> for Double {
    type Response = ActorToken;
    type Error = BoxError;
    type Future = Ready<Result<ActorToken, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        Ok(()).into()
    }

    fn call(&mut self, _: ActorTokenRequest) -> Self::Future {
        ready(Err("not today".into()))
    }
}

fn main() {
    let _ = Client::new(Double);
}
