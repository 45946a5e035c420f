//! Mints a token, prints its parts, and revokes it.
//!
//! ```text
//! cargo run --example quickstart                        against a sandbox on a local port
//! CLERK_SECRET_KEY=sk_test_… cargo run --example quickstart user_subject user_admin
//! ```
//!
//! `RUST_LOG=trace` logs everything but secrets.

use std::{env, error::Error, time::Duration};

use clerk_actor_tokens::{Actor, BaseUrl, Client, CreateActorToken, sandbox::Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    // Without a key a sandbox stands in for Clerk, over real HTTP.
    let sandbox = Sandbox::new();
    let server = sandbox.spawn().await?;
    let client = if env::var_os("CLERK_SECRET_KEY").is_some_and(|key| !key.is_empty()) {
        let base_url = match env::var("CLERK_API_URL") {
            Ok(url) if !url.is_empty() => url.parse()?,
            _ => BaseUrl::default(),
        };
        println!("talking to {base_url}");
        Client::from_env()?
    } else {
        println!("talking to a sandbox at {}", server.base_url());
        Client::builder(sandbox.secret_key())
            .base_url(server.base_url())
            .build()?
    };

    let mut ids = env::args().skip(1);
    let user_id = ids.next().unwrap_or_else(|| "user_subject".into());
    let actor = Actor::new(ids.next().unwrap_or_else(|| "user_admin".into()));
    let create = CreateActorToken::new(user_id, actor.claim("reason", "ticket 4711"))
        .expires_in(Duration::from_secs(300));

    let token = client.create(create).await?;
    println!("minted   {} ({})", token.id(), token.status().as_str());

    // The link is the credential: return it to its user, and do not print it.
    let link = token.expose_url().unwrap_or_default();
    let (page, ticket) = link.split_once("ticket=").unwrap_or((link, ""));
    println!("link     {page}ticket=[{} characters]", ticket.len());

    let revoked = client.revoke(token.id()).await?;
    println!("revoked  {} ({})", revoked.id(), revoked.status().as_str());

    // Revoking is not idempotent on the wire: the second time is an error.
    let error = client
        .revoke(token.id())
        .await
        .expect_err("the token is revoked");
    println!("again    {:?}, {}: {error}", error.kind(), error.outcome());

    // Before the runtime ends, lost tokens are revoked or reported.
    let settled = client.drain(Duration::from_secs(5)).await.counts();
    println!("settled  {} lost", settled.total());
    Ok(())
}
