//! Runs several gateways over PostgreSQL and Redis, breaks everything, and checks the audit against the sandbox.
//!
//! ```text
//! cargo run --release -p fleet -- --replicas 3 --calls 100000 --faults all --report report.json
//! ```
//!
//! Gateways, PostgreSQL and Redis are processes; the sandbox stands for the API. The exit code is 0 if every call
//! has one end, every token is accounted for, no limit was exceeded and no attempt was sent too early.
//! PostgreSQL, Redis and libfaketime come from Debian's packages; `.ci/servers postgresql redis faketime` installs them.

mod check;
mod clerk;
mod driver;
mod faults;
mod limits;
mod proxy;
mod replica;
mod report;
mod servers;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::time::{Instant, sleep};

use crate::{
    clerk::Clerk,
    driver::Driver,
    faults::{Choice, Faults},
    replica::Fleet,
    report::Report,
    servers::{Postgres, Redis, build},
};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// How long recovery may take after the last fault.
const RECOVERY: Duration = Duration::from_secs(90);

#[derive(Parser)]
struct Options {
    /// The number of gateways
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// The number of calls
    #[arg(long, default_value_t = 10_000)]
    calls: u64,
    /// Which faults happen: `all`, `none`, or names with commas between them
    #[arg(long, default_value = "all")]
    faults: Choice,
    /// The seed of the choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many callers there are
    #[arg(long, default_value_t = 48)]
    callers: usize,
    /// The program of the gateway; without it, it is built
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Where the report is written, as JSON
    #[arg(long)]
    report: Option<PathBuf>,
    /// The folder of the logs of the gateways; without it there are none
    #[arg(long)]
    logs: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let program = options.gateway.map_or_else(build, Ok)?;
    let mut postgres = Postgres::start()?;
    let mut redis = Redis::start()?;
    let clerk = Clerk::start(options.replicas, options.seed, !options.faults.is_none()).await?;
    let fleet = Arc::new(
        Fleet::start(
            &program,
            options.replicas,
            &clerk,
            [postgres.port, redis.port],
            options.faults.has(faults::Kind::ClockSkew),
            options.logs.as_deref(),
        )
        .await?,
    );

    let begun = Instant::now();
    let driver = Driver::start(
        &fleet,
        &clerk.sandbox,
        options.calls,
        options.callers,
        options.seed,
    );
    let mut faults = Faults::new(options.faults, options.seed);
    let mut shown = 0;
    while !driver.is_done() {
        let next = faults.next(&fleet, &clerk, &mut postgres, &mut redis);
        let line = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                report::progress(&driver, &fleet, begun.elapsed(), &mut shown);
            }
        };
        tokio::select! {
            () = driver.done() => break,
            happened = next => happened?,
            () = line => {}
        }
    }
    let during = begun.elapsed();
    // A fault that was interrupted is undone.
    faults.undo(&fleet, &mut postgres, &mut redis).await?;
    let seen = driver.finish().await;
    println!("\nwaiting for recovery");
    let open = check::recovered(&postgres, RECOVERY).await?;
    let stopped = fleet.stop().await;
    let changes = [fleet.changes(), faults.losses.clone()].concat();
    let found = check::check(&postgres, &clerk, &seen, &changes, open).await?;
    let report = Report::new(&options.seed, during, seen, &clerk, &faults, stopped, found);
    report.print();
    if let Some(path) = &options.report {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
