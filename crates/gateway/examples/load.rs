//! Measures audited creates through a gateway's process, in front of the sandbox.
//!
//! ```text
//! cargo build --release -p clerk-actor-tokens-gateway --bins
//! cargo run --release -p clerk-actor-tokens-gateway --example load -- --seconds 60 --rate 500 --idle 1000
//! ```
//!
//! `--rate` creates begin each second, and at most `--in-flight` (64) are in flight. `--idle` connections have
//! sent one request and stay open, and `--slow` ones send a byte a second.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{fs, io, mem, sync::Arc, time::Duration};

use clerk_actor_tokens::{Actor, Client, CreateActorToken, Error, sandbox::Sandbox};
use support::GatewayProcess;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// The time between two lines of output.
const LINE: Duration = Duration::from_secs(10);

/// Returns the resident memory of a process, in KiB.
fn memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Sends one request, and keeps the connection open.
async fn idle(address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n")
        .await?;
    // The 404 fits into one read, and its text does not matter.
    let _ = stream.read(&mut [0; 1024]).await?;
    Ok(stream)
}

/// Sends a head byte by byte, until the gateway gives up.
async fn slow(address: String) -> io::Result<()> {
    loop {
        let mut stream = TcpStream::connect(&address).await?;
        for byte in b"POST /v1/actor_tokens HTTP/1.1\r\nhost: gateway\r\n"
            .iter()
            .cycle()
        {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

async fn create(client: Client, _place: OwnedSemaphorePermit) -> Result<Duration, Error> {
    let begun = Instant::now();
    let create = CreateActorToken::new("user_customer", Actor::new("user_agent"));
    let token = client.create(create).await?;
    let _ = token.expose_url();
    Ok(begun.elapsed())
}

#[derive(Default)]
struct Measured {
    latencies: Vec<Duration>,
    failed: usize,
}

impl Measured {
    fn add(&mut self, call: Result<Duration, Error>) {
        match call {
            Ok(latency) => self.latencies.push(latency),
            Err(error) => {
                if self.failed == 0 {
                    eprintln!("{error}");
                }
                self.failed += 1;
            }
        }
    }

    fn append(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failed += other.failed;
    }

    fn print(&mut self, second: u64, during: Duration, process: Option<u32>) {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let percentile = |percent: usize| {
            let latency = self
                .latencies
                .get((count * percent / 100).min(count.saturating_sub(1)));
            latency.map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        println!(
            "{second:7}  {:9.0}  {:6}  {:6.1}  {:6.1}  {:10.1}  {:10}",
            count as f64 / during.as_secs_f64(),
            self.failed,
            percentile(50),
            percentile(99),
            percentile(100),
            process.and_then(memory).unwrap_or_default(),
        );
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [seconds, rate, in_flight, idle_connections, slow_connections] = support::options([
        ("--seconds", 30),
        ("--rate", 500),
        ("--in-flight", 64),
        ("--idle", 0),
        ("--slow", 0),
    ])
    .ok_or("usage: load [--seconds N] [--rate N] [--in-flight N] [--idle N] [--slow N]")?;
    let (folder, sandbox) = (tempfile::tempdir()?, Sandbox::new());
    let clerk = sandbox.spawn().await?;
    let config = support::config(folder.path(), &clerk.base_url().to_string(), "");
    let gateway = GatewayProcess::start(&config, &sandbox).await;
    let (client, process) = (gateway.client(), gateway.id());
    let address = gateway.address.trim_start_matches("http://").to_owned();

    let mut connections = Vec::new();
    for _ in 0..idle_connections {
        connections.push(idle(&address).await?);
    }
    for _ in 0..slow_connections {
        tokio::spawn(slow(address.clone()));
    }

    let places = Arc::new(Semaphore::new(in_flight as usize));
    let mut ticks = interval(Duration::from_secs(1) / rate as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut calls, mut all) = (JoinSet::new(), Measured::default());
    let (begun, mut recent, mut lines) = (Instant::now(), Measured::default(), 1);
    println!("seconds  creates/s  failed  p50 ms  p99 ms  longest ms  memory KiB");
    while begun.elapsed() < Duration::from_secs(seconds) {
        ticks.tick().await;
        let place = Arc::clone(&places).acquire_owned().await?;
        calls.spawn(create(client.clone(), place));
        while let Some(call) = calls.try_join_next() {
            recent.add(call?);
        }
        if begun.elapsed().as_secs() >= lines * LINE.as_secs() {
            recent.print(lines * LINE.as_secs(), LINE, process);
            all.append(mem::take(&mut recent));
            lines += 1;
        }
    }
    while let Some(call) = calls.join_next().await {
        recent.add(call?);
    }
    all.append(recent);
    let alive = connections.iter().filter(|it| is_open(it)).count();
    println!("all, with {alive} of {idle_connections} idle connections still open:");
    all.print(seconds, begun.elapsed(), process);
    gateway.kill().await;
    Ok(())
}
