//! The rate limits while Redis is down, slow or without its data: never above the burst and the documented slack.

use std::time::Duration;

use clerk_actor_tokens_policy::{RateLimitStore, rate_limit::Cell};
use clerk_actor_tokens_redis::{Redis, RedisRateLimitStore};
use tokio::time::Instant;

use crate::{
    limits::{take, take_all},
    server::{Server, connected, soon, until},
};

const HOUR: Duration = Duration::from_secs(3600);
const BURST: u32 = 10;

fn cell() -> Cell<'static> {
    Cell::new("global", HOUR, BURST)
}

/// Returns stores of two replicas, each with a connection of its own.
async fn replicas(server: &Server) -> [(Redis, RedisRateLimitStore); 2] {
    let two = 2.try_into().unwrap();
    let connect = async || {
        let redis = connected(server.config().replicas(two)).await;
        let store = RedisRateLimitStore::new(&redis);
        (redis, store)
    };
    [connect().await, connect().await]
}

async fn lose(replicas: &[(Redis, RedisRateLimitStore)]) {
    for (redis, _) in replicas {
        until(async || !redis.is_available()).await;
    }
}

async fn find(replicas: &[(Redis, RedisRateLimitStore)]) {
    for (redis, _) in replicas {
        soon(redis.available()).await;
    }
}

#[tokio::test]
async fn local_limits_are_parts_and_know_what_redis_let_pass() {
    let mut server = Server::start();
    let replicas = replicas(&server).await;
    for _ in 0..4 {
        take(&replicas[0].1, &[cell()]).await.unwrap();
    }
    server.kill();
    lose(&replicas).await;
    assert_eq!(take_all(&replicas[0].1, cell()).await, BURST / 2 - 4);
    assert_eq!(take_all(&replicas[1].1, cell()).await, BURST / 2);
    let (rule, wait) = take(&replicas[0].1, &[cell()]).await.unwrap_err();
    assert_eq!(rule, 0);
    assert!(wait > HOUR && wait <= 2 * HOUR, "{wait:?}");
    // Redis starts without its data: one more burst, and not one for each replica.
    server.restart();
    find(&replicas).await;
    let mut taken = 0;
    for (_, store) in &replicas {
        taken += take_all(store, cell()).await;
    }
    assert_eq!(taken, BURST);
}

#[tokio::test]
async fn units_given_back_without_redis_can_be_taken_again() {
    let server = Server::stopped();
    let redis = server.config().connect().unwrap();
    let store = RedisRateLimitStore::new(&redis);
    let receipt = take(&store, &[cell()]).await.unwrap();
    assert_eq!(take_all(&store, cell()).await, BURST - 1);
    store.give_back(receipt);
    assert_eq!(take_all(&store, cell()).await, 1);
}

#[tokio::test]
async fn stopped_redis_delays_three_calls_by_the_limit_and_no_more() {
    let server = Server::start();
    let limit = Duration::from_millis(200);
    let redis = connected(server.config().command_limit(limit)).await;
    let store = RedisRateLimitStore::new(&redis);
    take(&store, &[cell()]).await.unwrap();
    server.pause();
    let begun = Instant::now();
    assert_eq!(take_all(&store, cell()).await, BURST - 1);
    // Three limits, and some time for a busy machine.
    assert!(
        begun.elapsed() < 3 * limit + Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert!(!redis.is_available());
    server.resume();
    soon(redis.available()).await;
    // It still has its data. Commands that had no response in time may have taken units.
    let left = take_all(&store, cell()).await;
    assert!((BURST - 4..BURST).contains(&left), "{left}");
}

#[tokio::test]
async fn heartbeat_notices_a_stopped_redis_without_a_call() {
    let server = Server::start();
    let limit = Duration::from_millis(50);
    let redis = connected(server.config().command_limit(limit)).await;
    server.pause();
    until(async || !redis.is_available()).await;
    server.resume();
    soon(redis.available()).await;
}

#[tokio::test]
async fn redis_that_starts_later_is_used() {
    let mut server = Server::stopped();
    let redis = server.config().connect().unwrap();
    let store = RedisRateLimitStore::new(&redis);
    assert_eq!(take_all(&store, cell()).await, BURST);
    server.restart();
    soon(redis.available()).await;
    assert_eq!(take_all(&store, cell()).await, BURST);
    assert!(server.count("evalsha") > 0);
}

#[tokio::test]
async fn flush_allows_one_more_burst() {
    let server = Server::start();
    let replicas = replicas(&server).await;
    for _ in 0..3 {
        let mut taken = 0;
        for (_, store) in &replicas {
            taken += take_all(store, cell()).await;
        }
        assert_eq!(taken, BURST);
        server.run(&["FLUSHALL"]);
        server.run(&["SCRIPT", "FLUSH"]);
    }
}

#[tokio::test]
async fn redis_that_refuses_writes_is_not_used_until_it_takes_them() {
    let server = Server::start();
    let redis = server.connect().await;
    let store = RedisRateLimitStore::new(&redis);
    // As a primary that was replaced.
    server.run(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(take_all(&store, cell()).await, BURST);
    assert!(!redis.is_available());
    server.run(&["REPLICAOF", "NO", "ONE"]);
    soon(redis.available()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admissions_stay_within_the_documented_slack_under_faults() {
    let mut server = Server::start();
    let three = 3.try_into().unwrap();
    let burst = 30;
    let interval = Duration::from_millis(20);
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let config = server.config().replicas(three);
        // A busy machine does not look like a fault.
        let redis = connected(config.command_limit(Duration::from_millis(300))).await;
        replicas.push((redis.clone(), RedisRateLimitStore::new(&redis)));
    }
    let begun = Instant::now();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let store = replicas[n % 3].1.clone();
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut admitted = 0;
                while !*stopped.borrow() {
                    let cells = [Cell::new("global", interval, burst)];
                    admitted += u32::from(take(&store, &cells).await.is_ok());
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                admitted
            })
        })
        .collect();

    // The changes between Redis and memory, and losses of data: each may be one more burst.
    let mut slack = 0;
    for _ in 0..2 {
        server.run(&["FLUSHALL"]);
        slack += 1;
        server.pause();
        lose(&replicas).await;
        server.resume();
        find(&replicas).await;
        slack += 2;
        server.kill();
        lose(&replicas).await;
        server.restart();
        find(&replicas).await;
        slack += 3;
        server.run(&["CLIENT", "KILL", "SKIPME", "yes"]);
        find(&replicas).await;
        slack += 2;
    }
    stop.send(true).unwrap();
    let mut admitted = 0;
    for task in tasks {
        admitted += soon(task).await.unwrap();
    }
    let refilled = begun.elapsed().as_millis() / interval.as_millis();
    let allowed = u128::from(burst * (1 + slack)) + refilled;
    assert!(u128::from(admitted) <= allowed, "{admitted} of {allowed}");
    // Neither the stores nor the test are idle.
    assert!(admitted > burst, "{admitted}");
}
