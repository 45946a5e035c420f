//! Commands and decisions are measured under a bounded number of labels.
#![cfg(feature = "metrics")]

use std::{collections::BTreeSet, time::Duration};

use clerk_actor_tokens_policy::{Gate, RateLimitStore, rate_limit::Cell};
use clerk_actor_tokens_redis::{RedisGate, RedisRateLimitStore, describe_metrics};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::runtime::Builder;

use crate::{
    gate::{SECOND, close, creates, wait},
    limits::{take, take_all},
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
    let mut measured = BTreeSet::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let labels = key
            .labels()
            .map(|it| format!(" {}={}", it.key(), it.value()));
        let name = key
            .name()
            .strip_prefix("clerk.actor_tokens.redis.")
            .unwrap();
        let name = format!("{name}{}", labels.collect::<String>());
        measured.insert(match value {
            DebugValue::Counter(count) => format!("{name} {count}"),
            DebugValue::Gauge(value) => format!("{name} {value}"),
            DebugValue::Histogram(_) => name,
        });
    }
    for expected in [
        "available 0",
        "command command=close result=ok",
        "command command=connect result=ok",
        "command command=give_back result=ok",
        "command command=pass result=ok",
        "command command=take result=ok",
        "disconnected cause=connection_lost 1",
        "gate_epochs operation=create source=elsewhere 1",
        "gate_epochs operation=create source=here 1",
        "gate_level operation=create 1",
        "local_decisions layer=gate decision=waits 1",
        "local_decisions layer=rate_limit decision=passed 5",
        "local_decisions layer=rate_limit decision=refused 1",
        "not_given_back 1",
    ] {
        assert!(
            measured.contains(expected),
            "{expected} is not in {measured:#?}"
        );
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
    until(|| server.count("evalsha") == 4).await;
    drop(kept);

    let [one, other] = [RedisGate::new(&redis), RedisGate::new(&redis)];
    for gate in [&one, &other] {
        assert_eq!(wait(gate).await, Duration::ZERO);
    }
    close(&one, 60 * SECOND);
    until(|| other.epoch(&creates()) > 0).await;

    server.kill();
    until(|| !redis.is_available()).await;
    store.give_back(lost);
    // One of six units was kept.
    assert_eq!(take_all(&store, cell).await, 5);
    assert!(wait(&other).await > 50 * SECOND);
    // The task that gives the last unit back.
    tokio::task::yield_now().await;
}
