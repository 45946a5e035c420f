//! The spans and the metrics of eight calls, as operators see them.
//!
//! ```text
//! cargo run -p observability
//! ```
//!
//! The spans go through the OpenTelemetry SDK and are printed as a tree, one line a span: name, time, status
//! and attributes. The span after a `~` is its link: settling is linked to the attempt that was given up.
//! Below the tree is the text that Prometheus would scrape; `docs/dashboard.json` shows it in Grafana.

use std::error::Error;

use clerk_actor_tokens::{describe_metrics, sandbox::Sandbox};
use observability::{Desk, Scene, Telemetry, tree};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (telemetry, subscriber, recorder) = Telemetry::new()?;
    tracing::subscriber::set_global_default(subscriber)?;
    metrics::set_global_recorder(recorder)?;
    describe_metrics();

    // The plan has as many impersonations as the scenes mint, so that the last one is refused.
    let desk = Desk::new(Sandbox::new().quota(7))?;
    for scene in Scene::ALL {
        match desk.play(scene).await {
            Ok(()) => println!("{scene:?}"),
            Err(error) => println!("{scene:?}: {error}"),
        }
    }
    println!("\n{}", tree(&telemetry.spans()));
    println!("{}", telemetry.scrape());
    Ok(())
}
