//! What a killed gateway left is ended by another one.

use clerk_actor_tokens::{Actor, CreateActorToken, sandbox::Fault};
use clerk_actor_tokens_gateway::store::LeaseState;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_gateway_has_its_calls_ended_and_its_tokens_revoked_by_another() {
    let shared = Shared::start(Sandbox::new()).await;
    let killed = shared.process("").await;
    let client = killed.client();
    let returned = client.create(create()).await.unwrap();
    returned.expose_url();
    shared.sandbox.inject(Fault::HangAfter);
    let hanging = tokio::spawn(async move {
        let create = CreateActorToken::new("user_other", Actor::new("user_admin"));
        client.create(create).await.map(drop)
    });
    until(async || shared.sandbox.ledger().minted().len() == 2).await;

    let other = shared.open().await;
    killed.kill().await;
    assert!(hanging.await.unwrap().is_err());
    let stale = "UPDATE instances SET beat_at = now() - interval '1 hour'";
    shared
        .postgres
        .admin()
        .await
        .0
        .execute(stale, &[])
        .await
        .unwrap();

    until(async || calls(&other, "end=interrupted").await.len() == 1).await;
    until(async || calls(&other, "end=open").await.is_empty()).await;
    until(async || {
        shared
            .sandbox
            .ledger()
            .revoked()
            .any(|it| it.id() == returned.id())
    })
    .await;
    until(async || {
        let leases = other.leases().list(Default::default()).await.unwrap();
        let mut states: Vec<_> = leases.iter().map(|it| it.state).collect();
        states.sort();
        states == [LeaseState::Lost, LeaseState::Revoked]
    })
    .await;
}
