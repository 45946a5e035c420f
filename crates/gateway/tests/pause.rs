//! A paused gateway refuses creates and lets revokes pass.

mod world;

use clerk_actor_tokens::{ErrorKind, Outcome, sandbox::Sandbox};
use http::StatusCode;
use world::{KEY, World, create};

#[tokio::test]
async fn paused_gateway_refuses_creates_and_lets_revokes_pass() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let token = sdk.create(create()).await.unwrap();

    let paused = r#"{"paused": true, "reason": "an incident"}"#;
    let state = world.ask("PUT", "/pause", paused, "pauser").await.json();
    assert_eq!(
        (&state["is_paused"], &state["by"]),
        (&true.into(), &"pauser".into())
    );
    assert_eq!(state["reason"], "an incident");

    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(error.code(), Some("paused"));
    assert!(error.retry_after().is_some());
    assert!(error.to_string().contains("an incident"), "{error}");
    assert_eq!(world.sandbox.ledger().minted().len(), 1);

    sdk.revoke(token.id()).await.unwrap();
    assert_eq!(world.sandbox.ledger().revoked().count(), 1);

    world
        .ask("PUT", "/pause", r#"{"paused": false}"#, "pauser")
        .await;
    sdk.create(create()).await.unwrap();
}

#[tokio::test]
async fn refused_create_is_in_the_audit_with_its_rule() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    world
        .ask("PUT", "/pause", r#"{"paused": true}"#, "pauser")
        .await;
    served.sdk(KEY).create(create()).await.unwrap_err();

    let calls = world.ask("GET", "/calls", "", "viewer").await.json();
    let call = &calls["items"][0];
    assert_eq!(
        (&call["end"], &call["rule"]),
        (&"refused".into(), &"paused".into())
    );
    assert_eq!(
        (&call["principal"], &call["via"]),
        (&"billing".into(), &"key".into())
    );
}

#[tokio::test]
async fn pause_survives_a_restart() {
    let world = World::open(Sandbox::new(), "").await;
    let paused = r#"{"paused": true, "reason": "an incident"}"#;
    world.ask("PUT", "/pause", paused, "pauser").await;

    let world = world.reopen().await;
    let state = world.ask("GET", "/pause", "", "viewer").await.json();
    assert_eq!(
        (&state["is_paused"], &state["reason"]),
        (&true.into(), &"an incident".into())
    );
    let served = world.serve().await;
    let error = served.sdk(KEY).create(create()).await.unwrap_err();
    assert_eq!(error.code(), Some("paused"));

    drop(served);
    world
        .ask("PUT", "/pause", r#"{"paused": false}"#, "pauser")
        .await;
    let world = world.reopen().await;
    let state = world.ask("GET", "/pause", "", "viewer").await.json();
    assert_eq!(state["is_paused"], false);
}

#[tokio::test]
async fn create_of_a_stopping_gateway_is_refused_and_a_revoke_passes() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let token = sdk.create(create()).await.unwrap();

    world.gateway.stop_creates();
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Api, Some("stopping"))
    );
    // A 503 of the gateway could be any proxy's.
    assert_eq!(error.outcome(), Outcome::Unknown);
    sdk.revoke(token.id()).await.unwrap();
}
