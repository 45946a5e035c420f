//! Measures what the stores cost: commands for each create, and the time of a decision, over a Redis on loopback.
//!
//! ```text
//! cargo run --release -p clerk-actor-tokens-redis --example throughput -- [--url URL] [--calls N] [--clients N]
//! ```
//!
//! Without a URL it starts `redis-server` in a temporary folder.

use std::{
    env,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, BoxError, Client, ClientBuilder, CreateActorToken, sandbox::Sandbox,
};
use clerk_actor_tokens_policy::{
    Gate, GateLayer, Limit, LimitBy, MemoryGate, MemoryRateLimitStore, RateLimitLayer,
    RateLimitStore, rate_limit::Cell,
};
use clerk_actor_tokens_redis::{RedisConfig, RedisGate, RedisRateLimitStore};
use redis::Connection;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Redis on a TCP port of loopback, which ends with its value.
struct Server {
    process: Child,
    _folder: TempDir,
}

impl Server {
    fn start(port: u16) -> Result<Self, BoxError> {
        let folder = TempDir::new()?;
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self {
            process,
            _folder: folder,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = env::args().skip_while(|it| it != name);
    arguments.nth(1)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let number = |name, default| argument(name).map_or(Ok(default), |it| it.parse());
    let (calls, clients): (usize, usize) = (number("--calls", 20_000)?, number("--clients", 64)?);
    let free_port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let (url, _server) = match argument("--url") {
        Some(url) => (url, None),
        None => (
            format!("redis://127.0.0.1:{free_port}/"),
            Some(Server::start(free_port)?),
        ),
    };
    let config = RedisConfig::new(&url)?.namespace("throughput");
    let redis = config.command_limit(SECOND).connect()?;
    redis.available().await;
    let mut admin = redis::Client::open(url)?.get_connection()?;

    let mut times = Vec::with_capacity(calls);
    let store = RedisRateLimitStore::new(&redis);
    for n in 0..calls {
        let actor = format!("user_{}", n % 100);
        let begun = Instant::now();
        store.take(&[Cell::new(&actor, SECOND, 1 << 20)]).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    let [median, rare] = [calls / 2, calls * 99 / 100].map(|n| times[n]);
    println!("a decision, one after the other: median {median:.0?}, 99 % within {rare:.0?}\n");

    println!("{calls} creates of {clients} tasks           creates/s  scripts/create");
    let memory = over(
        RateLimitLayer::new(MemoryRateLimitStore::new(), limits()),
        GateLayer::new(MemoryGate::new(), "a"),
    )?;
    measure(
        "limits and gate in memory",
        &memory,
        calls,
        clients,
        &mut admin,
    )
    .await?;
    let limits = RateLimitLayer::new(RedisRateLimitStore::new(&redis), limits());
    let local_gate = over(limits.clone(), GateLayer::new(MemoryGate::new(), "a"))?;
    measure("limits in Redis", &local_gate, calls, clients, &mut admin).await?;
    let shared = over(limits, GateLayer::new(RedisGate::new(&redis), "a"))?;
    measure(
        "limits and gate in Redis",
        &shared,
        calls,
        clients,
        &mut admin,
    )
    .await?;
    Ok(())
}

/// Returns three limits that refuse nothing.
fn limits() -> [Limit; 3] {
    [LimitBy::Actor, LimitBy::Subject, LimitBy::Global]
        .map(|by| Limit::new(by, (1 << 20).try_into().expect("not zero"), SECOND))
}

/// Returns a client of the sandbox with these layers.
fn over(
    limits: RateLimitLayer<impl RateLimitStore>,
    gate: GateLayer<impl Gate>,
) -> Result<Client, BoxError> {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport());
    Ok(client.call_layer(limits).attempt_layer(gate).build()?)
}

async fn measure(
    name: &str,
    client: &Client,
    calls: usize,
    clients: usize,
    admin: &mut Connection,
) -> Result<(), BoxError> {
    let scripts = count_scripts(admin)?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..clients {
        let client = client.clone();
        tasks.spawn(async move {
            for n in (task..calls).step_by(clients) {
                let actor = Actor::new(format!("user_{}", n % 100));
                let create = CreateActorToken::new(format!("user_{n}"), actor);
                // Reading the URL claims the token, which is revoked otherwise.
                client.create(create).await?.expose_url();
            }
            Ok::<_, BoxError>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let a_second = calls as f64 / begun.elapsed().as_secs_f64();
    let a_create = (count_scripts(admin)? - scripts) as f64 / calls as f64;
    println!("{name:<40} {a_second:>9.0}  {a_create:>14.3}");
    Ok(())
}

/// Returns how many scripts the server has run.
fn count_scripts(admin: &mut Connection) -> Result<u64, BoxError> {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(admin)?;
    let line = stats
        .lines()
        .find_map(|it| it.strip_prefix("cmdstat_evalsha:calls="));
    Ok(line
        .and_then(|it| it.split(',').next())
        .map_or(Ok(0), str::parse)?)
}
