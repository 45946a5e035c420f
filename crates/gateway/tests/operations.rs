//! `/livez`, `/readyz` and `/metrics`, and the dashboard over them.

mod world;

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, body::Body};
use clerk_actor_tokens::{
    Actor, CreateActorToken,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_gateway::Metrics;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use world::{KEY, Received, World, create, received};

async fn get(app: Router, path: &str) -> Received {
    received(app, Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn gateway_is_ready_while_paused_and_not_once_it_stops() {
    let world = World::open(Sandbox::new(), "").await;
    let get = async |path| get(world.gateway.ops_router(None), path).await;
    let ready = get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["reasons"], json!([]));

    world
        .ask("PUT", "/pause", r#"{"paused": true}"#, "pauser")
        .await;
    let paused = get("/readyz").await;
    assert_eq!(
        (paused.status.as_u16(), &paused.json()["is_paused"]),
        (200, &json!(true))
    );

    world.gateway.stop_creates();
    let stopping = get("/readyz").await;
    assert_eq!(stopping.status, 503);
    assert_eq!(stopping.json()["reasons"], json!(["stopping"]));
    assert_eq!(get("/livez").await.status, 200);
    assert_eq!(get("/metrics").await.status, 404);
}

#[tokio::test]
async fn audit_that_cannot_be_written_is_reported_and_lets_revokes_pass() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    let ops = world.gateway.ops_router(None);
    let token = sdk.create(create()).await.unwrap();

    let blocker = rusqlite::Connection::open(world.database()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ready = get(ops.clone(), "/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"], json!(["audit_unavailable"]));
    let paused = world
        .ask("PUT", "/pause", r#"{"paused": true}"#, "pauser")
        .await;
    assert_eq!(
        (paused.status.as_u16(), &*paused.code()),
        (503, "audit_unavailable")
    );
    let reopened = world.ask("POST", "/quota/reopen", "", "pauser").await;
    assert_eq!(
        (reopened.status.as_u16(), &*reopened.code()),
        (503, "audit_unavailable")
    );
    let error = sdk.create(create()).await.unwrap_err();
    assert_eq!(error.code(), Some("audit_unavailable"));
    sdk.revoke(token.id()).await.unwrap();
    assert_eq!(world.sandbox.ledger().minted().len(), 1);

    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(get(ops, "/readyz").await.status, 200);
    let state = world.ask("GET", "/pause", "", "viewer").await.json();
    assert_eq!(state["is_paused"], false);
    sdk.create(create()).await.unwrap();
    // The spool is written in the background.
    let revoked = async {
        loop {
            let path = "/calls?operation=revoke&end=returned";
            let calls = world.ask("GET", path, "", "viewer").await.json();
            if calls["items"][0]["actor_token_id"] == token.id().as_str() {
                return;
            }
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, revoked).await.unwrap();
}

/// Returns every text in `json` under this key, at any depth.
fn texts(json: &Value, key: &str, found: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.extend(value.as_str().map(str::to_owned));
                }
                texts(value, key, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

/// Returns the expressions of the dashboard.
fn expressions() -> Vec<String> {
    let json = include_str!("../../../docs/dashboard.json");
    let mut found = Vec::new();
    texts(&serde_json::from_str(json).unwrap(), "expr", &mut found);
    found
}

/// Returns the names in an expression outside of quotes: metrics, labels and functions.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    let outside = expression.split('"').step_by(2);
    outside
        .flat_map(|part| part.split(|it: char| !it.is_ascii_alphanumeric() && it != '_'))
        .filter(|word| word.starts_with("clerk_") || word.starts_with("http_client_"))
}

/// Returns the name of each sample, and its labels.
fn samples(scrape: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (sample, _) = line.rsplit_once(' ')?;
        Some(sample.split_once('{').unwrap_or((sample, "")))
    })
}

/// Returns the value of a sample without labels, or with these.
fn value(scrape: &str, sample: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(sample));
    let value = line.unwrap_or_else(|| panic!("no {sample} in {scrape}"));
    value.trim().parse().unwrap()
}

/// Makes calls that move every metric.
async fn scrape() -> String {
    let metrics = Metrics::install().unwrap();
    let sandbox = Sandbox::new().known_users(["user_subject"]).quota(3);
    let more = "[quota]\nper_month = 10\n[[limits]]\nby = \"subject\"\ncalls = 100\nper = 60";
    let world = World::open(sandbox, more).await;
    let ops = world.gateway.ops_router(Some(metrics.clone()));
    let served = world.serve().await;
    let sdk = served.sdk(KEY);

    let token = sdk.create(create()).await.unwrap();
    assert!(token.expose_url().is_some());
    sdk.revoke(token.id()).await.unwrap();
    let live = sdk.create(create()).await.unwrap();
    assert!(live.expose_url().is_some());
    let retry_after = Duration::from_secs(1);
    world.sandbox.inject(Fault::RateLimited { retry_after });
    let limited = tokio::spawn({
        let (sdk, id) = (sdk.clone(), live.id().clone());
        async move { sdk.revoke(id).await }
    });
    while !metrics.render().contains("gate_closed{") {
        tokio::task::yield_now().await;
    }
    // Waits at the gate.
    sdk.revoke(token.id()).await.unwrap_err();
    limited.await.unwrap().unwrap();
    let denied = CreateActorToken::new("user_denied", Actor::new("user_admin"));
    sdk.create(denied).await.unwrap_err();
    let unknown = CreateActorToken::new("user_x", Actor::new("user_admin"));
    sdk.create(unknown).await.unwrap_err();
    let live = sdk.create(create()).await.unwrap();
    assert!(live.expose_url().is_some());
    // Closes the quota.
    sdk.create(create()).await.unwrap_err();
    sdk.create(create()).await.unwrap_err();
    world
        .ask("PUT", "/pause", r#"{"paused": true}"#, "pauser")
        .await;
    sdk.create(create()).await.unwrap_err();
    world.ask("GET", "/calls", "", "stranger").await;

    let scrape = get(ops, "/metrics").await;
    assert_eq!(scrape.status, StatusCode::OK);
    assert!(
        scrape.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    scrape.text
}

#[tokio::test]
async fn metrics_show_the_gateway_and_have_all_that_the_dashboard_queries() {
    let scrape = scrape().await;
    let value = |sample: &str| value(&scrape, sample);
    const REFUSED: &str = "clerk_actor_tokens_gateway_refused";
    assert_eq!(value(&format!("{REFUSED}{{rule=\"quota_closed\"}}")), 1.0);
    assert_eq!(value(&format!("{REFUSED}{{rule=\"paused\"}}")), 1.0);
    assert_eq!(value(&format!("{REFUSED}{{rule=\"overloaded\"}}")), 0.0);
    assert_eq!(value("clerk_actor_tokens_gateway_unauthenticated "), 1.0);
    assert_eq!(
        value("clerk_actor_tokens_gateway_leases{state=\"returned\"}"),
        1.0
    );
    assert_eq!(
        value("clerk_actor_tokens_gateway_leases{state=\"lost\"}"),
        0.0
    );
    assert_eq!(value("clerk_actor_tokens_gateway_paused "), 1.0);
    assert_eq!(value("clerk_actor_tokens_gateway_quota_closed "), 1.0);
    assert_eq!(value("clerk_actor_tokens_gateway_quota_used "), 3.0);
    assert_eq!(value("clerk_actor_tokens_gateway_quota_limit "), 10.0);

    let exported: BTreeSet<_> = samples(&scrape).map(|(name, _)| name).collect();
    let expressions = expressions();
    let queried: BTreeSet<_> = expressions.iter().flat_map(|it| words(it)).collect();
    assert!(
        queried.iter().any(|it| it.contains("_gateway_")),
        "{queried:?}"
    );
    let missing: Vec<_> = queried.difference(&exported).collect();
    assert!(missing.is_empty(), "{missing:?} is not in {scrape}");

    // Every metric of the policy and of the gateway is shown.
    for name in exported {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|it| name.strip_suffix(it));
        let is_shown = |name: &str| {
            queried
                .iter()
                .any(|it| it.strip_suffix("_bucket").unwrap_or(it) == name)
        };
        let is_own = name.contains("_gateway_") || name.contains("_policy_");
        assert!(!is_own || is_shown(base.unwrap_or(name)), "{name}");
    }

    // Every label of a group is exported.
    for expression in &expressions {
        let metric = words(expression).next().unwrap();
        for part in expression.split(" by (").skip(1) {
            let (labels, _) = part.split_once(')').unwrap();
            for label in labels.split(", ") {
                let is_exported = samples(&scrape)
                    .filter(|(name, _)| *name == metric)
                    .any(|(_, labels)| labels.contains(&format!("{label}=")));
                assert!(is_exported, "{label} of {metric}");
            }
        }
    }

    // No label has an id.
    for id in ["user_", "act_", "billing", KEY, "stranger"] {
        assert!(!scrape.contains(id), "{id} in {scrape}");
    }
}
