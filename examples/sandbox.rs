//! Serves the sandbox over TCP, for SDKs in any language.
//!
//! ```text
//! cargo run --example sandbox -- --port 4010
//! ```
//!
//! Prints the base URL and the secret key and, when it is interrupted, one line for every token that was
//! minted, with its last status.

use std::{env, error::Error};

use clerk_actor_tokens::sandbox::Sandbox;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let port = port(env::args().skip(1))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let sandbox = Sandbox::new();
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

/// Returns the value of `--port`. Without it, zero: any free port.
fn port(mut args: impl Iterator<Item = String>) -> Result<u16, Box<dyn Error>> {
    match (args.next().as_deref(), args.next(), args.next()) {
        (None, _, _) => Ok(0),
        (Some("--port"), Some(port), None) => Ok(port.parse()?),
        _ => Err("usage: sandbox [--port PORT]".into()),
    }
}
