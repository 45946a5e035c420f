//! No key, token or ticket is in a log, in a response of the admin API or of the host, or in a file.

#[path = "../../../tests/support/search/mod.rs"]
mod search;
mod world;

use axum::body::Body;
use bytes::Bytes;
use clerk_actor_tokens::{
    SecretKey,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_gateway::Metrics;
use http::Request;
use search::{MARKER, form_in};
use world::{World, create, received, text};

/// The caller's key.
const MARKED_KEY: &str = "sk_test_MARKER_0123456789abcdef";

/// A minted token.
const MINTED: &str = r#"{"id":"act_1","user_id":"user_subject","actor":{"sub":"user_admin"},"status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER"}"#;

#[tokio::test]
async fn no_secret_shows_in_logs_responses_and_files() {
    search::begin();
    let metrics = Metrics::install().unwrap();
    let sandbox = Sandbox::new().key(SecretKey::new("sk_test_MARKER").unwrap());
    let operator = text::operator("marked", "token-MARKER", &["view", "end", "pause"]);
    let world = World::open_with_key(sandbox, MARKED_KEY, &operator).await;
    let served = world.serve().await;
    let sdk = served.sdk(MARKED_KEY);

    let inject = |body: &'static str| {
        world
            .sandbox
            .inject(Fault::Body(Bytes::from_static(body.as_bytes())))
    };
    // Returned, lost with its id, lost without, and of another user.
    inject(MINTED);
    let token = sdk.create(create()).await.unwrap();
    assert!(token.expose_url().is_some_and(|url| url.contains(MARKER)));
    inject(MINTED.strip_suffix('}').unwrap());
    sdk.create(create()).await.unwrap_err();
    inject(r#"{"token":"MARKER"#);
    sdk.create(create()).await.unwrap_err();
    inject(
        r#"{"id":"act_2","user_id":"user_MARKER","status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER"}"#,
    );
    sdk.create(create()).await.unwrap_err();
    // The API repeats the key.
    inject(r#"{"errors":[{"code":"sk_test_MARKER","message":"sk_test_MARKER"}]}"#);
    sdk.create(create()).await.unwrap_err();

    // Guesses.
    served
        .sdk("sk_test_MARKER_fedcba9876543210")
        .create(create())
        .await
        .unwrap_err();
    assert_eq!(world.ask("GET", "/calls", "", "MARKER_").await.status, 401);
    for path in [
        "/v1/actor_tokens",
        "/v1/actor_tokens/act_1/revoke?ticket=MARKER",
        "/v1/MARKER",
    ] {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {MARKED_KEY}"))
            .header("content-type", "application/json")
            .header("cookie", "MARKER")
            .body(Body::from(r#"{"MARKER": "MARKER""#));
        received(world.gateway.app(), request.unwrap()).await;
    }

    let calls = world.ask("GET", "/calls", "", "MARKER").await;
    let mut shown = vec![calls.text.clone()];
    for call in calls.json()["items"].as_array().unwrap() {
        let path = format!("/calls/{}", call["call"].as_str().unwrap());
        shown.push(world.ask("GET", &path, "", "MARKER").await.text);
    }
    for (method, path, body) in [
        ("GET", "/leases?ended=true", ""),
        ("GET", "/quota", ""),
        ("GET", "/openapi.json", ""),
        ("PUT", "/pause", r#"{"paused": true}"#),
        ("POST", "/leases/end", r#"{"since": 0, "sessions": true}"#),
        ("POST", "/quota/reopen", ""),
        ("GET", "/calls", ""),
    ] {
        let received = world.ask(method, path, body, "MARKER").await;
        assert_eq!(received.status, 200, "{received:?}");
        shown.push(received.text);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let ops = world.gateway.ops_router(Some(metrics.clone()));
        shown.push(received(ops, request).await.text);
    }
    for text in shown {
        assert_eq!(form_in(&text), None, "{text}");
    }

    drop((sdk, served));
    world
        .gateway
        .shutdown(std::time::Duration::from_secs(10))
        .await;
    let files = world.files();
    assert!(files.iter().any(|(name, _)| name == "gateway.db"));
    for (name, content) in files {
        assert_eq!(form_in(&String::from_utf8_lossy(&content)), None, "{name}");
    }
    let leaks = search::unclaimed();
    assert!(leaks.is_empty(), "{leaks:?}");
    let logged = search::logging_crates();
    assert!(logged.contains("clerk_actor_tokens_gateway"), "{logged:?}");
}
