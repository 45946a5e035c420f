//! Two clients with the layers of `clerk_actor_tokens_policy`, as two replicas of a host have them.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, Client, ClientBuilder, CreateActorToken, Outcome, RetryConfig,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{GateLayer, Limit, LimitBy, RateLimitLayer};
use clerk_actor_tokens_redis::{RedisGate, RedisRateLimitStore};
use tokio::time::Instant;

use crate::server::{Server, until};

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}

fn limit() -> Limit {
    Limit::new(
        LimitBy::Actor,
        5.try_into().unwrap(),
        Duration::from_secs(3600),
    )
}

async fn replica(server: &Server, sandbox: &Sandbox) -> Client {
    let redis = server.connect().await;
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::disabled())
        .call_layer(RateLimitLayer::new(
            RedisRateLimitStore::new(&redis),
            [limit()],
        ))
        .attempt_layer(GateLayer::new(RedisGate::new(&redis), "production"))
        .build()
        .unwrap()
}

#[tokio::test]
async fn replicas_share_limits_and_a_429() {
    let server = Server::start();
    let sandbox = Sandbox::new();
    let replicas = [
        replica(&server, &sandbox).await,
        replica(&server, &sandbox).await,
    ];
    // Tokens that are dropped are revoked, and a revoke would meet the fault.
    let mut tokens = Vec::new();
    for replica in &replicas {
        tokens.push(replica.create(create()).await.unwrap());
    }
    sandbox.inject(Fault::RateLimited {
        retry_after: Duration::from_secs(1),
    });
    let begun = Instant::now();
    replicas[0].create(create()).await.unwrap_err();
    until(async || server.count("hset") > 0).await;
    // The other one waits instead of meeting the 429 again.
    tokens.push(replicas[1].create(create()).await.unwrap());
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );

    // The 429 took a unit, because something was sent.
    tokens.push(replicas[0].create(create()).await.unwrap());
    let error = replicas[1].create(create()).await.unwrap_err();
    assert_eq!(
        error.clerk_errors().unwrap().errors[0].meta["rule"],
        "actor"
    );
    assert!(error.retry_after().unwrap() > Duration::from_secs(600));
}

#[tokio::test]
async fn units_of_calls_that_sent_nothing_are_given_back() {
    let server = Server::start();
    let sandbox = Sandbox::new();
    let client = replica(&server, &sandbox).await;
    sandbox.inject(Fault::RateLimited {
        retry_after: Duration::from_secs(60),
    });
    client.create(create()).await.unwrap_err();
    until(async || server.count("hset") > 0).await;
    let commands = server.count("evalsha");
    for _ in 0..8 {
        // The slot comes too late.
        let error = client.create(create()).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
    // Each of them takes a unit, asks for a slot and gives the unit back.
    until(async || server.count("evalsha") == commands + 8 * 3).await;

    let redis = server.connect().await;
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(RateLimitLayer::new(
            RedisRateLimitStore::new(&redis),
            [limit()],
        ))
        .build()
        .unwrap();
    for _ in 0..4 {
        client.create(create()).await.unwrap();
    }
    client.create(create()).await.unwrap_err();
}
