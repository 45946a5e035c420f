//! What gateways share, and what they do without it.

use std::process::{Command, Output};

use clerk_actor_tokens_gateway::store::LeaseState;
use http::StatusCode;

use super::*;
use crate::world::{Received, Served, received};

async fn ready(gateway: &Gateway) -> Received {
    let request = http::Request::get("/readyz").body(axum::body::Body::empty());
    received(gateway.ops_router(None), request.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_of_one_gateway_is_listed_and_revoked_by_the_other() {
    let shared = Shared::start(Sandbox::new()).await;
    let [one, other] = shared.open_two().await;
    let (served, others) = (Served::start(&one).await, Served::start(&other).await);
    let token = served.sdk(KEY).create(create()).await.unwrap();
    token.expose_url();

    let leases = ask(&other, "GET", "/leases", "", "viewer").await.json();
    assert_eq!(leases["items"][0]["actor_token_id"], token.id().as_str());
    others.sdk(KEY).revoke(token.id()).await.unwrap();
    assert_eq!(shared.sandbox.ledger().revoked().count(), 1);
    let leases = one.leases().list(Default::default()).await.unwrap();
    assert_eq!(leases[0].state, LeaseState::Revoked);
    assert_eq!(calls(&one, "").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_stops_revokes_its_own_tokens_alone() {
    let shared = Shared::start(Sandbox::new()).await;
    let [one, other] = shared.open_two().await;
    let mut tokens = Vec::new();
    for gateway in [&one, &other] {
        let token = Served::start(gateway).await.sdk(KEY).create(create()).await;
        let token = token.unwrap();
        token.expose_url();
        tokens.push(token.id().clone());
    }
    let ended = one.shutdown(postgres::PATIENCE).await;
    assert!(ended.is_complete);
    let ledger = shared.sandbox.ledger();
    assert!(ledger.revoked().map(|it| it.id()).eq([&tokens[0]]));
    assert!(ledger.pending().map(|it| it.id()).eq([&tokens[1]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_counts_the_creates_of_all_gateways() {
    let shared = Shared::start(Sandbox::new()).await;
    let limit = "[[limits]]\nby = \"actor\"\ncalls = 4\nper = 3600\n";
    let config = world::parse(&(shared.text() + limit));
    let one = Gateway::open(config.clone()).await.unwrap();
    let other = Gateway::open(config).await.unwrap();
    let sdks = [&one, &other].map(|gateway| async {
        let served = Served::start(gateway).await;
        (served.sdk(KEY), served)
    });
    let [first, second] = sdks;
    let ((first, _one), (second, _other)) = (first.await, second.await);
    let mut created = 0;
    for sdk in [&first, &second].into_iter().cycle().take(10) {
        match sdk.create(create()).await {
            Ok(_) => created += 1,
            Err(error) => assert!(error.is_rate_limited(), "{error:?}"),
        }
    }
    assert_eq!(created, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_is_not_ready_without_postgresql_and_degraded_without_redis() {
    let alone = postgres::Server::start_with(&[]);
    let mut shared = Shared::over(Sandbox::new(), alone).await;
    let gateway = shared.open().await;
    until(async || ready(&gateway).await.json()["degraded"] == Value::Array(vec![])).await;
    assert_eq!(ready(&gateway).await.status, StatusCode::OK);

    shared.redis.kill();
    until(async || ready(&gateway).await.json()["degraded"][0] == "redis").await;
    assert_eq!(ready(&gateway).await.status, StatusCode::OK);
    let served = Served::start(&gateway).await;
    served.sdk(KEY).create(create()).await.unwrap();

    shared.postgres.kill();
    let away = ready(&gateway).await;
    assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(away.json()["reasons"][0], "audit_unavailable");
    let error = served.sdk(KEY).create(create()).await.unwrap_err();
    assert_eq!(error.code(), Some("audit_unavailable"));
    assert_eq!(shared.sandbox.ledger().minted().len(), 1);

    shared.postgres.restart();
    shared.redis.restart();
    until(async || served.sdk(KEY).create(create()).await.is_ok()).await;
    until(async || ready(&gateway).await.json()["degraded"] == Value::Array(vec![])).await;
    assert_eq!(ready(&gateway).await.status, StatusCode::OK);
}

fn run(shared: &Shared, args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_clerk-actor-tokens-gateway"))
        .args(args)
        .env("CLERK_SECRET_KEY", shared.sandbox.secret_key().expose())
        .env("DESK_KEY", support::WIRE_KEY)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connects_to_both_engines_and_shows_no_password() {
    let shared = Shared::start(Sandbox::new()).await;
    let path = shared.process_config("");
    let check = ["check", "--config", path.to_str().unwrap()];
    let (code, out, error) = run(&shared, &check);
    assert_eq!(code, 0, "{out} {error}");

    for (file, name, wrong) in [
        ("redis.url", "redis", "redis://user:horse@127.0.0.1:1/"),
        (
            "postgres.url",
            "storage.postgres",
            "postgres://user:horse@127.0.0.1:1/audit",
        ),
    ] {
        fs::write(shared.file(file), wrong).unwrap();
        let (code, _, error) = run(&shared, &check);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(&format!("error: {name}: ")), "{error}");
        assert!(!error.contains("horse"), "{error}");
    }
    let skipped = [&check[..], &["--skip-connections"]].concat();
    assert_eq!(run(&shared, &skipped).0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_of_all_gateways_is_verified_and_exported() {
    let shared = Shared::start(Sandbox::new()).await;
    for gateway in shared.open_two().await {
        let served = Served::start(&gateway).await;
        let token = served.sdk(KEY).create(create()).await.unwrap();
        token.expose_url();
        assert!(gateway.shutdown(postgres::PATIENCE).await.is_complete);
    }
    let path = shared.process_config("");
    let config = ["--config", path.to_str().unwrap()];
    let (code, out, error) = run(&shared, &[&["audit", "verify"][..], &config].concat());
    assert_eq!(code, 0, "{out} {error}");
    assert_eq!(out.matches("intact: ").count(), 2, "{out}");
    let (code, out, error) = run(&shared, &[&["audit", "export"][..], &config].concat());
    assert_eq!(code, 0, "{error}");
    assert_eq!(out.matches("\"begin\"").count(), 4, "{out}");
}
