//! A layer of your own at three levels: it prints every call, every attempt and every HTTP request.
//!
//! ```text
//! cargo run --example custom_layer
//! ```
//!
//! The sandbox responds to the first attempt with a rate limit, so that the call needs two.

use std::{
    error::Error,
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, ClientBuilder, CreateActorToken, Payload,
    sandbox::{Fault, Sandbox},
};
use http::Request;
use tower::{Layer, Service};

/// A layer as tower defines it. The request type decides its level.
#[derive(Clone, Copy)]
struct PrintLayer;

#[derive(Clone)]
struct Print<S>(S);

impl<S> Layer<S> for PrintLayer {
    type Service = Print<S>;

    fn layer(&self, inner: S) -> Print<S> {
        Print(inner)
    }
}

/// At the call level: once a call, with the operation and the extensions of the caller.
impl<S: Service<ActorTokenRequest>> Service<ActorTokenRequest> for Print<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> S::Future {
        println!(
            "call     {:?}, by {:?}",
            request.operation(),
            request.extensions().get::<Operator>()
        );
        self.0.call(request)
    }
}

/// At the attempt level: once an attempt, with the encoded operation. It may send it several times.
impl<S: Service<Request<Payload>>> Service<Request<Payload>> for Print<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Payload>) -> S::Future {
        let payload = request.body();
        println!(
            "attempt  {:?}, after {} others",
            payload.kind(),
            payload.attempts()
        );
        self.0.call(request)
    }
}

/// At the wire level: once an attempt, as HTTP, without the key.
impl<S: Service<Request<Body>>> Service<Request<Body>> for Print<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let attempt = request.body().attempt();
        println!("wire     {attempt}: {} {}", request.method(), request.uri());
        for (name, value) in request.headers() {
            println!("           {name}: {value:?}");
        }
        self.0.call(request)
    }
}

/// The support agent behind a call.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "it is read through Debug")]
struct Operator(&'static str);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let sandbox = Sandbox::new();
    sandbox.inject(Fault::RateLimited {
        retry_after: Duration::ZERO,
    });

    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(PrintLayer)
        .attempt_layer(PrintLayer)
        .wire_layer(PrintLayer)
        .build()?;

    let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
    let mut request = ActorTokenRequest::create(create);
    request.extensions_mut().insert(Operator("jo"));
    let token = client.send(request).await?;
    println!("response {token:?}");
    Ok(())
}
