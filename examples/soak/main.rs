//! Millions of random cancellations, and the end of every token that they minted.
//!
//! ```text
//! cargo run --release --example soak -- --calls 1000000
//!     --faults 0.05        the share of requests that meet a fault
//!     --concurrency 256    callers at once
//!     --life 3600          the lifetime of a token, in seconds
//!     --seed 1             another seed draws other calls, delays and faults
//! ```
//!
//! Two clients make every call, each against its own sandbox over TCP: the client of this crate, and the same
//! create written by hand on hyper-util's client under a timeout. Exits with 1 if the client of this crate
//! left a token that was neither read, revoked nor reported, revoked one that was read, or failed with an
//! outcome without effect although a token was minted.

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

/// The number of calls against one sandbox. A sandbox keeps every token, so a new one bounds the memory.
const ROUND: u64 = 50_000;

/// The longest time of a call, if nothing else ends it.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    // One line for every settled token is too much by default.
    if env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt::init();
    }
    let args = Args::read(env::args().skip(1))?;
    // Clients and sandboxes are one process, so that each connection has two descriptors. Without enough of
    // them creates fail.
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

/// Makes the calls of one client against a new sandbox, and counts the ends of the tokens.
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
    // The server notices a closed connection a little later, and may mint until then.
    tokio::time::sleep(Duration::from_millis(50)).await;

    let mut tally = books.close(&sandbox.ledger(), args.seed);
    tally.calls = count;
    tally.calling = called;
    tally.draining = begun.elapsed() - called;
    Ok(tally)
}
