//! Commands and decisions are measured under a bounded number of labels.
#![cfg(feature = "metrics")]

use std::time::Duration;

use clerk_actor_tokens_policy::{Gate, RateLimitStore, rate_limit::Cell};
use clerk_actor_tokens_redis::{RedisGate, RedisRateLimitStore, describe_metrics};
use metrics_util::debugging::DebuggingRecorder;
use tokio::runtime::Builder;

use crate::{
    gate::{SECOND, close, creates, wait},
    limits::{take, take_all},
    measured::measured,
    server::{Server, until},
};

#[test]
fn commands_connection_local_decisions_and_gate_are_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play());
    });
    let all = measured(&snapshotter, "clerk.actor_tokens.redis.");
    for command in ["close", "connect", "give_back", "pass", "take"] {
        let name = format!("command command={command} result=ok");
        assert!(all.contains_key(&name), "{name} is not in {all:#?}");
    }
    for (name, value) in [
        ("available", 0.0),
        ("disconnected cause=connection_lost", 1.0),
        ("gate_epochs operation=create source=elsewhere", 1.0),
        ("gate_epochs operation=create source=here", 1.0),
        ("gate_level operation=create", 1.0),
        ("local_decisions decision=waits layer=gate", 1.0),
        ("local_decisions decision=passed layer=rate_limit", 5.0),
        ("local_decisions decision=refused layer=rate_limit", 1.0),
        ("not_given_back", 1.0),
    ] {
        let measured = all.get(name);
        assert_eq!(measured, Some(&vec![value]), "{name} in {all:#?}");
    }
}

async fn play() {
    let mut server = Server::start();
    let redis = server.connect().await;
    let store = RedisRateLimitStore::new(&redis);
    let cell = Cell::new("actor", Duration::from_secs(3600), 6);
    let given_back = take(&store, &[cell]).await.unwrap();
    let kept = take(&store, &[cell]).await.unwrap();
    let lost = take(&store, &[cell]).await.unwrap();
    store.give_back(given_back);
    until(async || server.count("evalsha") == 4).await;
    drop(kept);

    let [one, other] = [RedisGate::new(&redis), RedisGate::new(&redis)];
    for gate in [&one, &other] {
        assert_eq!(wait(gate).await, Duration::ZERO);
    }
    close(&one, 60 * SECOND);
    until(async || other.epoch(&creates()) > 0).await;

    server.kill();
    until(async || !redis.is_available()).await;
    store.give_back(lost);
    // One of six units was kept.
    assert_eq!(take_all(&store, cell).await, 5);
    assert!(wait(&other).await > 50 * SECOND);
    // The task that gives the last unit back.
    tokio::task::yield_now().await;
}
