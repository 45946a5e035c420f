//! Random cancellations by the million, and what became of every token that they minted.
//!
//! ```text
//! cargo run --release --example soak -- --calls 1000000
//!     --faults 0.05        the share of requests that meet a fault
//!     --concurrency 256    callers at once
//!     --life 3600          the life of a token, in seconds
//!     --seed 1             another seed draws other calls, delays and faults
//! ```
//!
//! Every call is made by two clients, each against a sandbox of its own over TCP: the client of this
//! crate, and the same create written by hand on hyper-util's client under a time-out. Exits with 1 when
//! the client of this crate left a token that nobody read, revoked or reported, revoked one that was read,
//! or said of a create that minted one that it had no effect.

mod args;
mod baseline;
mod books;
mod callers;
mod ending;
mod faults;
mod ours;
mod progress;
mod table;

use std::{env, process::ExitCode, time::Duration};

use clerk_actor_tokens::{BoxError, sandbox::Sandbox};
use tokio::time::Instant;

use self::{
    args::Args,
    baseline::Baseline,
    books::{Books, Tally},
    callers::Caller,
    ours::Ours,
    progress::Progress,
};

/// Calls against one sandbox, which keeps all that it minted: a fresh one from time to time keeps the
/// memory bounded.
const ROUND: u64 = 50_000;

/// How long a call may take before its caller gives up, if nothing else ends it.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    // A line for every token that is settled is too much to look at, unless it is asked for.
    if env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt::init();
    }
    let args = Args::read(env::args().skip(1))?;
    // Clients and sandboxes are one process, so that each connection has two descriptors here. What
    // the system does not grant shows as creates that failed.
    let _ = rlimit::increase_nofile_limit(32 * args.concurrency as u64);
    let progress = Progress::new(2 * args.calls);
    let (mut ours, mut baseline) = (Tally::default(), Tally::default());
    for begin in (0..args.calls).step_by(ROUND as usize) {
        let calls = begin..args.calls.min(begin + ROUND);
        ours.add(round::<Ours>(&args, calls.clone(), &progress).await?);
        baseline.add(round::<Baseline>(&args, calls, &progress).await?);
    }
    progress.finish();
    table::print(&args, &ours, &baseline);
    Ok(if ours.keeps_the_promise() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Some calls of one client against a sandbox of their own, and what became of the tokens.
async fn round<C: Caller>(
    args: &Args,
    calls: std::ops::Range<u64>,
    progress: &Progress,
) -> Result<Tally, BoxError> {
    let choose = faults::choose(args.seed ^ calls.start, args.faults);
    let sandbox = Sandbox::new().faults_by(choose);
    let server = sandbox.spawn().await?;
    let books = Books::default();
    let client = C::new(&server.base_url(), sandbox.secret_key(), args, &books)?;

    let begun = Instant::now();
    let count = calls.end - calls.start;
    callers::run(client.clone(), calls, args, &books, progress).await;
    let called = begun.elapsed();
    client.drain().await;
    // A server learns a little later that a connection was closed, and may mint until then.
    tokio::time::sleep(Duration::from_millis(50)).await;

    let mut tally = books.close(&sandbox.ledger(), args.seed);
    tally.calls = count;
    tally.calling = called;
    tally.draining = begun.elapsed() - called;
    Ok(tally)
}
