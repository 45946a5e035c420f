//! The quota of a month: the gateway's own, and the API's.

mod world;

use std::time::Duration;

use clerk_actor_tokens::{
    ActorTokenRequest, ErrorKind,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_gateway::store::{Store, StoreError, StoreOptions};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Begin, Entry, Event},
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use world::{KEY, Served, World, create};

async fn quota(world: &World) -> Value {
    world.ask("GET", "/quota", "", "viewer").await.json()
}

#[tokio::test]
async fn create_past_the_limit_of_the_month_is_refused() {
    let world = World::open(Sandbox::new(), "[quota]\nper_month = 2").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let token = sdk.create(create()).await.unwrap();
    sdk.create(create()).await.unwrap();

    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::PAYMENT_REQUIRED));
    assert_eq!(error.code(), Some("quota_exceeded"));
    let meta = &error.clerk_errors().unwrap().errors[0].meta;
    assert_eq!(meta["rule"], "quota_used");
    let state = quota(&world).await;
    assert_eq!((&state["used"], &state["limit"]), (&json!(2), &json!(2)));
    assert_eq!(state["resets_at"], meta["resets_at"]);

    // A token that is revoked was used nevertheless.
    sdk.revoke(token.id()).await.unwrap();
    assert_eq!(quota(&world).await["used"], 2);
}

#[tokio::test]
async fn create_without_effect_gives_its_unit_back() {
    let sandbox = Sandbox::new().known_users(["user_subject"]);
    let mut world = World::open(sandbox, "[quota]\nper_month = 2").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);

    let unknown = clerk_actor_tokens::CreateActorToken::new(
        "user_x",
        clerk_actor_tokens::Actor::new("user_admin"),
    );
    assert!(sdk.create(unknown).await.unwrap_err().is_not_found());
    assert_eq!(quota(&world).await["used"], 0);

    world
        .sandbox
        .inject(Fault::StatusAfter(StatusCode::BAD_GATEWAY));
    sdk.create(create()).await.unwrap_err();
    assert_eq!(quota(&world).await["used"], 1);

    world.server = None;
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(quota(&world).await["used"], 1);
}

#[tokio::test]
async fn refusal_of_the_api_closes_creates_until_an_operator_reopens_them() {
    for (sandbox, status, code) in [
        (Sandbox::new().quota(1), 422, "impersonation_limit_exceeded"),
        (
            Sandbox::new().without_impersonation(),
            402,
            "unsupported_subscription_plan_features",
        ),
    ] {
        let world = World::open(sandbox, "").await;
        let served = world.serve().await;
        let sdk = served.sdk(KEY);
        if status == 422 {
            sdk.create(create()).await.unwrap();
        }
        let error = sdk.create(create()).await.unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert_eq!(error.code(), Some(code));

        let requests = world.sandbox.requests();
        let error = sdk.create(create()).await.unwrap_err();
        assert_eq!(
            (error.status().unwrap().as_u16(), error.code()),
            (402, Some("quota_exceeded"))
        );
        let error = sdk.revoke("act_1").await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
        assert_eq!(world.sandbox.requests(), requests + 1);

        drop(served);
        let world = world.reopen().await;
        let state = quota(&world).await;
        assert_eq!(state["closed"]["reason"], code);
        assert_eq!(state["used"], u64::from(status == 422));

        let served = world.serve().await;
        let reopened = world
            .ask(
                "POST",
                "/quota/reopen",
                r#"{"reason": "a larger plan"}"#,
                "pauser",
            )
            .await;
        assert_eq!(reopened.json().get("closed"), None);
        let error = served.sdk(KEY).create(create()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Api, Some(code)));
    }
}

#[tokio::test]
async fn restarted_gateway_counts_the_tokens_that_may_exist() {
    let world = World::open(Sandbox::new(), "[quota]\nper_month = 3").await;
    let served = world.serve().await;
    served.sdk(KEY).create(create()).await.unwrap();
    drop(served);
    // A create that was sent, and whose process was killed.
    let world = world
        .reopen_after(async |database| {
            let store = loop {
                match Store::open(database, StoreOptions::new()) {
                    // The thread of the writer ends after its last handle.
                    Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
                    opened => break opened.unwrap(),
                }
            };
            let begin = Begin::of(&ActorTokenRequest::create(create()));
            let call = CallId::create();
            let events = [Event::Begin(begin), Event::Sending];
            let entries = events.map(|event| Entry::new(call, event)).into();
            store.write(entries).await.unwrap();
        })
        .await;
    assert_eq!(quota(&world).await["used"], 2);
}

#[tokio::test]
async fn parallel_creates_share_the_limit() {
    let world = World::open(Sandbox::new(), "[quota]\nper_month = 3").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let creates = futures_util::future::join_all((0..8).map(|_| sdk.create(create()))).await;
    assert_eq!(creates.iter().filter(|it| it.is_ok()).count(), 3);
    assert_eq!(world.sandbox.ledger().minted().len(), 3);
    assert_eq!(quota(&world).await["used"], 3);
}

#[tokio::test]
async fn create_that_is_cancelled_before_it_is_sent_gives_its_unit_back() {
    let world = World::open(Sandbox::new(), "[quota]\nper_month = 2").await;
    let served = world.serve().await;
    // Closes the gate, so that the next create waits.
    let retry_after = Duration::from_secs(6);
    world.sandbox.inject(Fault::RateLimited { retry_after });
    let limited = send_create(&served).await;
    while world.sandbox.requests() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(quota(&world).await["used"], 1);
    let waiting = send_create(&served).await;
    let is_used = async |units: u64| {
        while quota(&world).await["used"] != units {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, is_used(2)).await.unwrap();
    // The gateway drops the call of a caller who disconnects.
    drop(waiting);
    timeout(LIMIT, is_used(1)).await.unwrap();
    drop(limited);
    timeout(LIMIT, is_used(0)).await.unwrap();
    assert_eq!(world.sandbox.requests(), 1);
}

const LIMIT: Duration = Duration::from_secs(20);

/// Sends a create on a connection that ends when it is dropped. A client of this crate would stay connected.
async fn send_create(served: &Served) -> TcpStream {
    let body = r#"{"user_id": "user_subject", "actor": {"sub": "user_admin"}}"#;
    let length = body.len();
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    let request = format!(
        "POST /v1/actor_tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
