//! The gate while Redis is down, stopped or without its data.

use std::time::Duration;

use clerk_actor_tokens_policy::Gate;
use clerk_actor_tokens_redis::RedisGate;
use tokio::time::Instant;

use crate::{
    gate::{SECOND, close, creates, learns, leave, replica, wait},
    server::{Server, connected, soon, until},
};

#[tokio::test]
async fn close_holds_in_its_replica_while_redis_is_stopped() {
    let server = Server::start();
    let [one, other] = [replica(&server).await, replica(&server).await];
    server.pause();
    close(&one, 60 * SECOND);
    for _ in 0..3 {
        assert!(wait(&one).await > 59 * SECOND);
    }
    server.resume();
    learns(&other).await;
    assert!(wait(&other).await > 50 * SECOND);
}

#[tokio::test]
async fn close_without_redis_is_sent_when_it_starts() {
    let mut server = Server::start();
    let three = 3.try_into().unwrap();
    let redis = connected(server.config().replicas(three)).await;
    let one = RedisGate::new(&redis);
    let other = replica(&server).await;
    server.kill();
    until(async || !redis.is_available()).await;
    close(&one, 60 * SECOND);
    // A third of the pace for each of three replicas.
    let [first, second] = [wait(&one).await, wait(&one).await];
    assert!(
        second - first > Duration::from_millis(250),
        "{first:?} {second:?}"
    );
    assert_eq!(wait(&other).await, Duration::ZERO);
    server.restart();
    learns(&other).await;
    assert!(wait(&other).await > 50 * SECOND);
}

#[tokio::test]
async fn flushed_gate_is_restored_by_the_replica_that_asks() {
    let server = Server::start();
    let [one, other] = [replica(&server).await, replica(&server).await];
    close(&one, 60 * SECOND);
    learns(&other).await;
    for gate in [&one, &other] {
        server.run(&["FLUSHALL"]);
        server.run(&["SCRIPT", "FLUSH"]);
        assert!(wait(gate).await > 50 * SECOND);
    }
    // A replica that has not seen the close finds it again.
    let later = RedisGate::new(&server.connect().await);
    assert!(wait(&later).await > 50 * SECOND);
}

#[tokio::test]
async fn restarted_redis_learns_of_the_close_and_so_does_a_new_replica() {
    let mut server = Server::start();
    let redis = server.connect().await;
    let one = RedisGate::new(&redis);
    close(&one, 60 * SECOND);
    until(async || server.count("hset") > 0).await;
    server.kill();
    until(async || !redis.is_available()).await;
    assert!(wait(&one).await > 50 * SECOND);
    server.restart();
    soon(redis.available()).await;
    // The gate is read on the new connection, which restores it.
    until(async || server.count("hset") > 0).await;
    let later = RedisGate::new(&server.connect().await);
    assert!(wait(&later).await > 50 * SECOND);
}

#[tokio::test]
async fn close_during_a_lost_connection_is_learned_of_after_it() {
    let server = Server::start();
    let [one, other] = [replica(&server).await, replica(&server).await];
    server.run(&["CLIENT", "KILL", "SKIPME", "yes"]);
    close(&one, 60 * SECOND);
    learns(&other).await;
    assert!(wait(&other).await > 50 * SECOND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attempt_leaves_the_replica_that_closed_before_it_opens() {
    let mut server = Server::start();
    let config = server.config().command_limit(Duration::from_millis(50));
    let redis = connected(config).await;
    let [step, ramp] = [1, 10].map(Duration::from_millis);
    let gate = RedisGate::with_pace(&redis, step, ramp);
    for fault in 0..24 {
        let retry_after = Duration::from_millis(80);
        let opens = Instant::now() + retry_after;
        close(&gate, retry_after);
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move { leave(&gate).await })
            })
            .collect();
        match fault % 6 {
            0 => server.run(&["FLUSHALL"]),
            1 => server.run(&["CLIENT", "KILL", "SKIPME", "yes"]),
            2 => server.pause(),
            3 => server.resume(),
            4 => server.kill(),
            _ => server.restart(),
        }
        for waiter in waiters {
            assert!(soon(waiter).await.unwrap() >= opens, "after fault {fault}");
        }
    }
    assert!(gate.epoch(&creates()) >= 24);
}
