//! The default stack, assembled by hand with `ServiceBuilder`. Every layer can be replaced or left out.
//!
//! ```text
//! cargo run --example hand_built_stack
//! ```
//!
//! tower's own limits stand at the call level, and tower's own retry, with the policy of this example,
//! replaces ours.

use std::{error::Error, future, time::Duration};

use clerk_actor_tokens::{
    Actor, BoxError, Client, ClientBuilder, CreateActorToken, Error as ClerkError, Outcome,
    Payload, TokenResponse,
    layer::{DecodeErrorLayer, JsonLayer, TypedErrorLayer},
    sandbox::{Fault, Sandbox},
};
use http::{Request, Response, StatusCode};
use tower::{
    ServiceBuilder,
    retry::{Policy, RetryLayer},
};

/// Retries an attempt up to twice and without backoff, if it provably had no effect and is not permanent.
#[derive(Clone)]
struct Twice(u32);

impl Policy<Request<Payload>, Response<TokenResponse>, BoxError> for Twice {
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Payload>,
        result: &mut Result<Response<TokenResponse>, BoxError>,
    ) -> Option<Self::Future> {
        let error = result.as_ref().err()?.downcast_ref::<ClerkError>()?;
        let again = match error.outcome() {
            Outcome::NotSent => !error.is_permanent(),
            _ => error.status() == Some(StatusCode::TOO_MANY_REQUESTS),
        };
        println!(
            "attempt {} failed: {error}; again: {again}",
            error.attempts()
        );
        self.0 = self.0.checked_sub(1)?;
        again.then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Payload>) -> Option<Request<Payload>> {
        Some(request.clone())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let sandbox = Sandbox::new();
    sandbox.inject(Fault::Status(StatusCode::TOO_MANY_REQUESTS));
    sandbox.inject(Fault::DisconnectBefore);

    // The builder returns each layer as the client would have it.
    let parts = ClientBuilder::over(sandbox.secret_key(), sandbox.transport());
    let settle = parts.settle_layer();
    let stack = ServiceBuilder::new()
        // Call level: ActorTokenRequest → ActorToken.
        .layer(parts.trace_call_layer())
        .layer(TypedErrorLayer::new())
        .load_shed()
        .concurrency_limit(16)
        .layer(parts.call_timeout_layer())
        .layer(JsonLayer::new())
        // Attempt level: http::Request<Payload> → http::Response<TokenResponse>.
        .layer(RetryLayer::new(Twice(2)))
        .layer(parts.trace_layer())
        .layer(DecodeErrorLayer::new())
        // One attempt: http::Request<Body>, which is not `Clone`.
        .layer(parts.attempt_timeout_layer())
        .layer(settle.clone())
        .layer(parts.collect_body_layer())
        // Wire level: http::Request<Body> → http::Response<impl http_body::Body>.
        .layer(parts.base_uri_layer())
        .layer(parts.api_headers_layer())
        .layer(parts.bearer_auth_layer())
        .service(sandbox.transport());
    let client = Client::new(stack).settled_by(&settle);

    let create = || CreateActorToken::new("user_subject", Actor::new("user_admin"));
    // The first attempt meets the rate limit. In the second one the connection breaks after the request was
    // read. A token may have been minted, so there is no third attempt.
    let error = client
        .create(create())
        .await
        .expect_err("the connection broke");
    println!("failed, {}: {error}", error.outcome());

    let token = client.create(create()).await?;
    println!("minted {}", token.id());

    // The ticket of that token was never read, so it is revoked when it is dropped.
    drop(token);
    let report = client.drain(Duration::from_secs(5)).await;
    println!("settled: {:?}", report.counts());
    Ok(())
}
