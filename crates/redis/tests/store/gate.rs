//! The gate of several replicas over one server.

use std::time::Duration;

use clerk_actor_tokens::OperationKind;
use clerk_actor_tokens_policy::{
    Gate,
    gate::{Pass, Scope},
};
use clerk_actor_tokens_redis::RedisGate;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    limits::keys,
    server::{Server, soon, until},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn creates() -> Scope {
    Scope::new("account", OperationKind::Create)
}

/// Returns a gate that has read the scope, so that it learns of closes.
pub(crate) async fn replica(server: &Server) -> RedisGate {
    let gate = RedisGate::new(&server.connect().await);
    let passed = gate.pass(&creates(), Duration::ZERO).await.unwrap();
    assert!(matches!(passed, Pass::Go { .. }), "{passed:?}");
    gate
}

/// Closes the gate by an attempt of the current epoch.
pub(crate) fn close(gate: &RedisGate, retry_after: Duration) {
    gate.close(&creates(), gate.epoch(&creates()), Some(retry_after));
}

/// Returns the wait of a caller with endless patience.
pub(crate) async fn wait(gate: &RedisGate) -> Duration {
    match gate.pass(&creates(), Duration::MAX).await.unwrap() {
        Pass::Go { .. } => Duration::ZERO,
        Pass::Wait { slot, .. } => slot,
        Pass::No { .. } => panic!("refused"),
    }
}

/// Waits for a slot as the layer does, and returns when the attempt left.
pub(crate) async fn leave(gate: &RedisGate) -> Instant {
    loop {
        let epoch = match gate.pass(&creates(), Duration::MAX).await.unwrap() {
            Pass::Go { epoch } => epoch,
            Pass::Wait { epoch, slot } => {
                sleep(slot).await;
                epoch
            }
            Pass::No { .. } => panic!("refused"),
        };
        if gate.epoch(&creates()) == epoch {
            return Instant::now();
        }
    }
}

/// Waits until a replica has learned of a close.
pub(crate) async fn learns(gate: &RedisGate) {
    until(async || gate.epoch(&creates()) > 0).await;
}

#[tokio::test]
async fn open_gate_costs_no_command_once_it_was_read() {
    let server = Server::start();
    let gate = replica(&server).await;
    for _ in 0..1000 {
        let passed = gate.pass(&creates(), Duration::ZERO).await.unwrap();
        assert!(matches!(passed, Pass::Go { .. }));
    }
    // The first attempt reads it, and the task of the gate may at the same time.
    assert!(server.count("evalsha") <= 2);
}

#[tokio::test]
async fn close_reaches_other_replicas_within_250_ms() {
    let server = Server::start();
    let [one, other] = [replica(&server).await, replica(&server).await];
    let begun = Instant::now();
    close(&one, 60 * SECOND);
    learns(&other).await;
    assert!(
        begun.elapsed() < Duration::from_millis(250),
        "{:?}",
        begun.elapsed()
    );
    assert!(wait(&other).await > 59 * SECOND);
}

#[tokio::test]
async fn replica_that_starts_later_finds_the_gate_closed() {
    let server = Server::start();
    let one = replica(&server).await;
    close(&one, 60 * SECOND);
    until(async || server.count("hset") > 0).await;
    let later = RedisGate::new(&server.connect().await);
    assert!(wait(&later).await > 59 * SECOND);
}

#[tokio::test]
async fn waiters_of_two_replicas_share_the_slots() {
    let server = Server::start();
    let [step, ramp] = [40, 400].map(Duration::from_millis);
    let gates = [&server.connect().await, &server.connect().await]
        .map(|redis| RedisGate::with_pace(redis, step, ramp));
    for gate in &gates {
        wait(gate).await;
    }
    let retry_after = Duration::from_millis(300);
    let opens = Instant::now() + retry_after;
    close(&gates[0], retry_after);
    learns(&gates[1]).await;
    let waiters = (0..120).map(|n| leave(&gates[n % 2]));
    let mut left = soon(join_all(waiters)).await;
    left.sort();

    // 10 slots, then 20 at half the step, and so on. No attempt leaves before its slot, on a busy machine later.
    let slots = (0..4).flat_map(|ramps| {
        let step = step / (1 << ramps);
        (0..(10 << ramps)).map(move |n| ramp * ramps + step * n)
    });
    for (left, slot) in left.into_iter().zip(slots) {
        assert!(
            left >= opens + slot,
            "{:?} before {slot:?}",
            opens + slot - left
        );
    }
}

#[tokio::test]
async fn storm_of_429s_counts_one_level() {
    let server = Server::start();
    let gates = [replica(&server).await, replica(&server).await];
    let epochs = gates.each_ref().map(|gate| gate.epoch(&creates()));
    for _ in 0..50 {
        for (gate, epoch) in gates.iter().zip(epochs) {
            gate.close(&creates(), epoch, Some(30 * SECOND));
        }
    }
    until(async || gates.iter().all(|gate| gate.epoch(&creates()) > 50)).await;
    let first = slot_of(&gates[0]).await;
    let second = slot_of(&gates[1]).await;
    assert_step(second - first, Duration::from_millis(100));
}

/// Returns when the next slot is.
async fn slot_of(gate: &RedisGate) -> Instant {
    let slot = wait(gate).await;
    Instant::now() + slot
}

/// The responses took some time, which makes a step look longer or shorter.
#[track_caller]
fn assert_step(step: Duration, expected: Duration) {
    let difference = step.abs_diff(expected);
    assert!(difference < expected / 2, "{step:?} is not {expected:?}");
}

#[tokio::test]
async fn attempt_of_another_replica_raises_the_level() {
    let server = Server::start();
    let [one, other] = [replica(&server).await, replica(&server).await];
    close(&one, Duration::from_millis(50));
    learns(&other).await;
    leave(&other).await;
    let epoch = one.epoch(&creates());
    close(&other, 30 * SECOND);
    until(async || one.epoch(&creates()) > epoch).await;
    let [first, second] = [slot_of(&other).await, slot_of(&one).await];
    assert_step(second - first, Duration::from_millis(200));
}

#[tokio::test]
async fn slot_beyond_the_patience_is_refused_and_stays_free() {
    let server = Server::start();
    let gate = replica(&server).await;
    close(&gate, 60 * SECOND);
    until(async || server.count("hset") > 0).await;
    let begun = Instant::now();
    for _ in 0..10 {
        let refused = gate.pass(&creates(), 10 * SECOND).await.unwrap();
        let Pass::No { retry_after } = refused else {
            panic!("{refused:?}");
        };
        assert!(retry_after <= 60 * SECOND && retry_after > 50 * SECOND);
    }
    assert!(wait(&gate).await <= 60 * SECOND - begun.elapsed() + Duration::from_millis(50));
}

#[tokio::test]
async fn creates_and_revokes_and_accounts_have_gates_of_their_own() {
    let server = Server::start();
    let [one, other] = [replica(&server).await, replica(&server).await];
    close(&one, 60 * SECOND);
    learns(&other).await;
    for scope in [
        Scope::new("account", OperationKind::Revoke),
        Scope::new("other", OperationKind::Create),
    ] {
        for gate in [&one, &other] {
            let passed = gate.pass(&scope, Duration::ZERO).await.unwrap();
            assert!(matches!(passed, Pass::Go { .. }));
        }
    }
}

#[tokio::test]
async fn keys_expire_when_the_gate_is_open() {
    let server = Server::start();
    let [step, ramp] = [20, 10].map(Duration::from_millis);
    let gate = RedisGate::with_pace(&server.connect().await, step, ramp);
    close(&gate, Duration::from_millis(10));
    until(async || server.count("hset") > 0).await;
    leave(&gate).await;
    until(async || !keys(&server).iter().any(|key| key.contains("gate"))).await;
    // The replica sees the end of the ramp a bit later than the server. From then on, an attempt costs nothing.
    soon(async {
        let mut commands = 0;
        while commands != server.count("evalsha") {
            commands = server.count("evalsha");
            leave(&gate).await;
        }
    })
    .await;
}
