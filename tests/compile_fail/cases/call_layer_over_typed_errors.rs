//! A call layer expects `Error` from the layers below it.

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, Error};
use tower::{Layer, Service};

#[derive(Clone)]
struct Audit<S>(S);

struct AuditLayer;

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        Audit(inner)
    }
}

impl<S> Service<ActorTokenRequest> for Audit<S>
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error>,
{
    type Response = ActorToken;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> S::Future {
        self.0.call(request)
    }
}

fn main() {
    let builder = compile_fail::builder().call_layer(AuditLayer);
    let _ = builder.build();
}
