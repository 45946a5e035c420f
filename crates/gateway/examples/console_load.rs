//! Measures pages of the console beside calls of the wire protocol, through a gateway's process in front of the
//! sandbox.
//!
//! ```text
//! cargo build --release -p clerk-actor-tokens-gateway --bins
//! cargo run --release -p clerk-actor-tokens-gateway --example console_load -- --seconds 30 --users 200 --calls 64
//! ```
//!
//! Each user opens a page, reads it for `--think` ms (1000), and opens the next. `--calls` calls are in flight
//! all the time: creates, and the revoke of each token unless `--keep 1` keeps it live.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{collections::BTreeMap, error::Error, time::Duration};

use bytes::Bytes;
use clerk_actor_tokens::{Actor, Client, CreateActorToken, sandbox::Sandbox};
use http::{
    Request, StatusCode,
    header::{CONTENT_TYPE, COOKIE, SET_COOKIE},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use sha2::{Digest, Sha256};
use support::GatewayProcess;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

type Http = legacy::Client<HttpConnector, Full<Bytes>>;
type Failure = Box<dyn Error + Send + Sync>;

/// The pages that a user opens in turn.
const PAGES: [&str; 8] = [
    "impersonations",
    "audit",
    "audit?text=ticket",
    "begin",
    "impersonations?show=all&subject=user_7",
    "open",
    "quota",
    "audit?end=failed",
];

fn token(user: u64) -> String {
    format!("gwop_{user}_9fT2kLw7vXcB4nQm1sZd8rHy3gPj6aEu")
}

/// Signs in, and returns the cookie of the session.
async fn sign_in(http: &Http, address: &str, user: u64) -> Result<String, Failure> {
    let request = Request::post(format!("{address}/console/login"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(format!("token={}", token(user))))?;
    let response = http.request(request).await?;
    let cookie = response.headers().get(SET_COOKIE).ok_or("not signed in")?;
    let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(cookie.to_owned())
}

/// Opens pages until the time is over, and returns how long each took.
async fn browse(
    address: String,
    user: u64,
    start: Duration,
    think: Duration,
    until: Instant,
) -> Result<Vec<(&'static str, Duration)>, Failure> {
    let http: Http = legacy::Client::builder(TokioExecutor::new()).build_http();
    let cookie = sign_in(&http, &address, user).await?;
    // Not all at once.
    sleep(start).await;
    let (mut took, mut turn) = (Vec::new(), user as usize);
    while Instant::now() < until {
        let page = PAGES[turn % PAGES.len()];
        turn += 1;
        let begun = Instant::now();
        let request = Request::get(format!("{address}/console/{page}")).header(COOKIE, &cookie);
        let response = http.request(request.body(Full::default())?).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status != StatusCode::OK {
            return Err(format!("{page}: {status}").into());
        }
        took.push((page, begun.elapsed()));
        sleep(think).await;
    }
    Ok(took)
}

/// Creates and revokes tokens until the time is over, and returns how long each call took.
async fn call(client: Client, keep: bool, until: Instant) -> Result<Vec<Duration>, Failure> {
    let mut took = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        let create = CreateActorToken::new("user_customer", Actor::new("user_agent"));
        let token = client.create(create).await?;
        let _ = token.expose_url();
        took.push(begun.elapsed());
        if !keep {
            let begun = Instant::now();
            client.revoke(token.id()).await?;
            took.push(begun.elapsed());
        }
    }
    Ok(took)
}

fn print(name: &str, seconds: u64, mut took: Vec<Duration>) {
    took.sort_unstable();
    let percentile = |percent: usize| {
        let index = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(index).map_or(0.0, |it| it.as_secs_f64() * 1e3)
    };
    println!(
        "{name:40} {:8} {:8.0} {:8.1} {:8.1} {:8.1}",
        took.len(),
        took.len() as f64 / seconds as f64,
        percentile(50),
        percentile(99),
        percentile(100),
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let [seconds, users_count, calls_in_flight, think, keep] = support::options([
        ("--seconds", 30),
        ("--users", 200),
        ("--calls", 64),
        ("--think", 1000),
        ("--keep", 0),
    ])
    .ok_or("usage: console_load [--seconds N] [--users N] [--calls N] [--think MS] [--keep 1]")?;
    let think = Duration::from_millis(think);
    let (folder, sandbox) = (tempfile::tempdir()?, Sandbox::new());
    let clerk = sandbox.spawn().await?;
    let operators = (0..users_count).map(|user| {
        let hash = hex::encode(Sha256::digest(token(user)));
        format!("[operators.user_{user}]\ntoken_sha256 = \"{hash}\"\nroles = [\"view\", \"impersonate\"]\n")
    });
    let operators: String = operators.collect();
    let config = support::config(folder.path(), &clerk.base_url().to_string(), &operators);
    let gateway = GatewayProcess::start(&config, &sandbox).await;

    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut users, mut callers) = (JoinSet::new(), JoinSet::new());
    for user in 0..users_count {
        let start = think * user as u32 / users_count.max(1) as u32;
        users.spawn(browse(gateway.address.clone(), user, start, think, until));
    }
    for _ in 0..calls_in_flight {
        callers.spawn(call(gateway.client(), keep != 0, until));
    }
    let late = until + Duration::from_secs(60);
    let (mut pages, mut calls) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    while let Some(done) = timeout_at(late, users.join_next()).await? {
        for (page, took) in done?? {
            pages.entry(page).or_default().push(took);
        }
    }
    while let Some(done) = callers.join_next().await {
        calls.extend(done??);
    }
    println!(
        "{:40} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "count", "each s", "p50 ms", "p99 ms", "most ms"
    );
    for (page, took) in &pages {
        print(page, seconds, took.clone());
    }
    print(
        "all pages",
        seconds,
        pages.into_values().flatten().collect(),
    );
    print("calls", seconds, calls);
    gateway.kill().await;
    Ok(())
}
