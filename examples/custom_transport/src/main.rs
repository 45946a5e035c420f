//! Two transports of your own: a `service_fn`, and reqwest.
//!
//! ```text
//! cargo run -p custom_transport
//! ```
//!
//! A transport is any `Service<http::Request<Body>, Response = http::Response<B>>`. This package
//! builds the crate without its default transport: neither hyper's client nor rustls comes with it.

use std::{error::Error, time::Duration};

use clerk_actor_tokens::{
    Actor, Body, BoxError, Client, ClientBuilder, CreateActorToken, SecretKey, sandbox::Sandbox,
};
use http::{Request, Response, StatusCode};
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    canned().await?;
    over_reqwest().await
}

/// A `service_fn` that responds without a network: enough for a unit test.
async fn canned() -> Result<(), Box<dyn Error>> {
    let transport = service_fn(|request: Request<Body>| async move {
        // A transport that does not poll the body takes the bytes, so that the outcome of a failure is
        // known. A request that was withdrawn must not be sent.
        let bytes = request.into_body().into_bytes()?;
        println!("service_fn sends {} bytes", bytes.len());
        let response = r#"{"id":"act_1","user_id":"user_subject","status":"pending"}"#;
        Ok::<_, BoxError>(Response::new(response.to_owned()))
    });
    let client = ClientBuilder::over(SecretKey::new("sk_test_1")?, transport).build()?;
    show("service_fn", &client).await
}

/// reqwest as the transport, with its proxies, DNS and TLS.
async fn over_reqwest() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::new();
    let server = sandbox.spawn().await?;
    // The stack expects redirects as they are, and has timeouts of its own.
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(3))
        .no_proxy()
        .build()?;
    let transport = ServiceBuilder::new()
        .map_response(Response::<reqwest::Body>::from)
        .map_request(|request: Request<Body>| request.map(reqwest::Body::wrap))
        .filter(reqwest::Request::try_from)
        .service(http);
    let client = ClientBuilder::over(sandbox.secret_key(), transport)
        .base_url(server.base_url())
        .build()?;
    show("reqwest", &client).await?;

    drop(server);
    let error = client
        .revoke("act_1")
        .await
        .expect_err("the server has stopped");
    assert_ne!(error.status(), Some(StatusCode::OK));
    println!("reqwest failed, {}: {error}", error.outcome());
    Ok(())
}

async fn show(transport: &str, client: &Client) -> Result<(), Box<dyn Error>> {
    let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
    let token = client.create(create).await?;
    println!("{transport} returned {token:?}");
    // The ticket was not read, so the token is revoked; drain waits for that.
    drop(token);
    client.drain(Duration::from_secs(5)).await;
    Ok(())
}
