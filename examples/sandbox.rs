//! Serves the sandbox over TCP, for SDKs in any language.
//!
//! ```text
//! cargo run --example sandbox -- --port 4010 --rate-limit 100
//! ```
//!
//! Prints the base URL and the secret key and, when it is interrupted, one line for every token that was
//! minted, with its last status. Requests above the rate limit, which is for a minute, fail with 429. With
//! `--without-impersonation` every create fails with 402.

use std::{env, error::Error, time::Duration};

use clerk_actor_tokens::sandbox::Sandbox;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let (port, sandbox) = arguments(env::args().skip(1))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("CLERK_API_URL=http://{}/v1", listener.local_addr()?);
    println!("CLERK_SECRET_KEY={}", sandbox.secret_key().expose());

    tokio::select! {
        served = sandbox.serve(listener) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    for entry in sandbox.ledger().minted() {
        println!("{} {}", entry.id(), entry.status().as_str());
    }
    Ok(())
}

/// Returns the port (default: any free one) and a sandbox with the settings of the command line.
fn arguments(mut args: impl Iterator<Item = String>) -> Result<(u16, Sandbox), Box<dyn Error>> {
    let (mut port, mut sandbox) = (0, Sandbox::new());
    while let Some(name) = args.next() {
        if name == "--without-impersonation" {
            sandbox = sandbox.without_impersonation();
            continue;
        }
        match (name.as_str(), args.next()) {
            ("--port", Some(value)) => port = value.parse()?,
            ("--rate-limit", Some(value)) => {
                sandbox = sandbox.rate_limit(value.parse()?, Duration::from_secs(60));
            }
            _ => return Err(
                "usage: sandbox [--port PORT] [--rate-limit REQUESTS] [--without-impersonation]"
                    .into(),
            ),
        }
    }
    Ok((port, sandbox))
}
