//! A gateway: Clerk's wire protocol on a port of one's own, with the key, a guard and a limit in one
//! place.
//!
//! ```text
//! cargo run --example gateway
//! ```
//!
//! The sandbox stands in for Clerk. Two clients ask over HTTP, as any Clerk SDK could, with a key that is
//! the gateway's own: one says who asks, the other does not, and is refused before anything is sent.

use std::{error::Error, io, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, ClerkError, ClerkErrors, Client, ClientBuilder, CreateActorToken,
    Error as CallError, SecretKey, Ticket,
    sandbox::Sandbox,
    server::{ActorTokensApi, Inbound},
};
use http::{HeaderName, HeaderValue, StatusCode};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;
use tower::{Service, filter::FilterLayer, limit::ConcurrencyLimitLayer};

const OPERATOR: HeaderName = HeaderName::from_static("x-operator");

/// Lets nobody in who does not say who asks. What a guard refuses with is what the caller gets; any
/// other error would be a 503.
fn named(request: ActorTokenRequest) -> Result<ActorTokenRequest, CallError> {
    let inbound = request.extensions().get::<Inbound>();
    match inbound.and_then(|it| it.headers().get(OPERATOR)) {
        Some(operator) => {
            println!("gateway  {operator:?} asks");
            Ok(request)
        }
        None => {
            println!("gateway  nobody asks");
            let why = ClerkError::new("operator_missing", "no operator", "Say who asks.");
            Err(CallError::api(StatusCode::FORBIDDEN, ClerkErrors::new(why)))
        }
    }
}

/// Serves over HTTP/1.1 and HTTP/2. TLS belongs in front of it, beyond loopback.
async fn serve(listener: TcpListener, api: ActorTokensApi<Client>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let api = api.clone();
        let service = service_fn(move |request| api.clone().call(request));
        tokio::spawn(async move {
            // A caller that goes away takes its call along: what that may still mint is revoked.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let sandbox = Sandbox::new();
    // Against Clerk: `ClientBuilder::from_env()?`.
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(FilterLayer::new(named))
        .call_layer(ConcurrencyLimitLayer::new(64))
        .build()?;
    let key = SecretKey::new("sk_test_q8Zt3vN0cXwL5rYd")?;
    let api = ActorTokensApi::new(client.clone(), key.clone())?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?).parse()?;
    println!("gateway  at {base_url}");
    let serving = tokio::spawn(serve(listener, api));

    let desk = Client::builder(key).base_url(base_url).build()?;
    let create = || CreateActorToken::new("user_subject", Actor::new("user_admin"));
    let operator = HeaderValue::from_static("jo");
    let request = ActorTokenRequest::create(create()).header(OPERATOR, operator);
    let token = desk.send(request).await?;
    let has_link = token.ticket().and_then(Ticket::expose_url).is_some();
    println!("desk     minted {}, a link: {has_link}", token.id());

    let refused = desk.create(create()).await.expect_err("nobody is named");
    println!("desk     {}: {refused}", refused.outcome());

    // First nobody new is let in; then what was lost on the way is settled.
    serving.abort();
    let settled = client.drain(Duration::from_secs(5)).await;
    println!("gateway  settled: {:?}", settled.counts());
    Ok(())
}
