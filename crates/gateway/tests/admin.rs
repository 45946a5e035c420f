//! The admin API: roles, input, the OpenAPI document, and what operators see and end. Long, because all routes share one
//! gateway.

mod world;

use std::collections::BTreeSet;

use axum::body::Body;
use clerk_actor_tokens::{Actor, ActorToken, CreateActorToken, sandbox::Sandbox};
use http::Request;
use serde_json::{Value, json};
use world::{KEY, OPERATORS, Received, World, create, received};

/// Every route, with the role that it needs and a body that it accepts. `{call}` is the id of a call.
const ROUTES: [(&str, &str, &str, &str); 12] = [
    ("GET", "/calls", "view", ""),
    ("GET", "/calls/{id}", "view", ""),
    ("GET", "/leases", "view", ""),
    ("GET", "/pause", "view", ""),
    ("GET", "/quota", "view", ""),
    ("GET", "/openapi.json", "view", ""),
    ("POST", "/leases/end", "end", r#"{"actor": "user_x"}"#),
    ("POST", "/leases/{call}/end", "end", r#"{"sessions": true}"#),
    ("POST", "/actors/{id}/revoke", "end", ""),
    ("POST", "/subjects/{id}/revoke", "end", "{}"),
    ("POST", "/quota/reopen", "pause", ""),
    ("PUT", "/pause", "pause", r#"{"paused": false}"#),
];

/// A gateway through which one token was created.
async fn world() -> (World, ActorToken, String) {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let token = served.sdk(KEY).create(create()).await.unwrap();
    // Claims the token, so that the client does not revoke it.
    assert!(token.expose_url().is_some());
    let calls = world.ask("GET", "/calls", "", "viewer").await.json();
    let call = calls["items"][0]["call"].as_str().unwrap().to_owned();
    (world, token, call)
}

fn filled(path: &str, call: &str) -> String {
    path.replace("{id}", call).replace("{call}", call)
}

#[tokio::test]
async fn each_route_is_for_its_role_only() {
    let (world, _token, call) = world().await;
    for (method, path, role, body) in ROUTES {
        let path = filled(path, &call);
        for (operator, roles) in OPERATORS {
            let received = world.ask(method, &path, body, operator).await;
            let case = format!("{method} {path} by {operator}: {received:?}");
            match roles.contains(&role) {
                true => assert_eq!(received.status, 200, "{case}"),
                false => {
                    assert_eq!(received.status, 403, "{case}");
                    assert_eq!(received.code(), "authorization_invalid", "{case}");
                }
            }
            assert_eq!(received.headers["cache-control"], "no-store", "{case}");
        }
        let received = world.ask(method, &path, body, "stranger").await;
        assert_eq!(received.status, 401, "{method} {path}");
        assert_eq!(received.code(), "authentication_invalid");
        assert_eq!(received.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn refused_operator_changes_nothing() {
    let (world, _token, call) = world().await;
    for operator in ["viewer", "impersonator", "pauser", "stranger"] {
        world
            .ask("POST", &format!("/leases/{call}/end"), "", operator)
            .await;
        world
            .ask("POST", "/leases/end", r#"{"since": 0}"#, operator)
            .await;
    }
    for operator in ["viewer", "impersonator", "ender", "stranger"] {
        world
            .ask("PUT", "/pause", r#"{"paused": true}"#, operator)
            .await;
    }
    assert_eq!(world.sandbox.ledger().revoked().count(), 0);
    let state = world.ask("GET", "/pause", "", "viewer").await.json();
    assert_eq!(state["is_paused"], false);
}

#[tokio::test]
async fn document_has_exactly_the_routes() {
    let (world, _token, call) = world().await;
    let document = world.ask("GET", "/openapi.json", "", "viewer").await.json();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path.strip_prefix("/admin/v1").unwrap();
            let role = operation["security"][0]["operator"][0].as_str().unwrap();
            documented.insert((method.to_uppercase(), path.to_owned(), role.to_owned()));
        }
    }
    let routes = ROUTES.map(|(method, path, role, _)| (method.into(), path.into(), role.into()));
    assert_eq!(documented, BTreeSet::from(routes));

    // Each path has the documented methods only.
    let paths: BTreeSet<_> = documented.iter().map(|(_, path, _)| path).collect();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let is_documented = documented
                .iter()
                .any(|(it, of, _)| it == method && of == path);
            let received = world.ask(method, &filled(path, &call), "", "chief").await;
            assert_eq!(received.status != 405, is_documented, "{method} {path}");
            if !is_documented {
                assert_eq!(received.code(), "method_not_allowed");
                let allowed = received.headers["allow"].to_str().unwrap().split(',');
                let allowed: BTreeSet<_> = allowed.filter(|it| *it != "HEAD").collect();
                let of_path = documented.iter().filter(|(_, of, _)| of == path);
                assert_eq!(allowed, of_path.map(|(it, ..)| &**it).collect(), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn document_resolves_all_its_references_and_names_each_operation_once() {
    let world = World::open(Sandbox::new(), "").await;
    let document = world.ask("GET", "/openapi.json", "", "viewer").await;
    let json = document.json();
    let mut names = BTreeSet::new();
    for operation in json["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|it| it.as_object().unwrap().values())
    {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name}");
    }
    let parts = document.text.split("\"$ref\":\"#").skip(1);
    let references: BTreeSet<_> = parts.map(|it| it.split('"').next().unwrap()).collect();
    assert!(!references.is_empty());
    for reference in references {
        assert!(json.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn invalid_input_is_refused_and_changes_nothing() {
    let (world, _token, call) = world().await;
    let end = format!("/leases/{call}/end");
    let long = format!(r#"{{"paused": true, "reason": "{}"}}"#, "x".repeat(1001));
    let huge = format!(r#"{{"paused": true, "reason": "{}"}}"#, "x".repeat(17_000));
    for (method, path, body, status) in [
        ("GET", "/calls?unknown=1", "", 400),
        ("GET", "/calls?actor=a&actor=b", "", 400),
        ("GET", "/calls?limit=x", "", 400),
        ("GET", "/calls?limit=-1", "", 400),
        ("GET", "/calls?limit=0", "", 400),
        ("GET", "/calls?limit=201", "", 400),
        ("GET", "/calls?before=x", "", 400),
        ("GET", "/calls?since=99999999999999999999", "", 400),
        ("GET", "/calls?since=yesterday", "", 400),
        ("GET", "/calls/x", "", 400),
        ("GET", "/calls/00000000000070008000000000000000", "", 404),
        ("GET", "/leases?unknown=1", "", 400),
        ("GET", "/leases?limit=0", "", 400),
        ("GET", "/leases?limit=1001", "", 400),
        ("GET", "/leases?ended=maybe", "", 400),
        ("POST", "/leases/end", "", 422),
        ("POST", "/leases/end", "{}", 422),
        ("POST", "/leases/end", r#"{"sessions": true}"#, 422),
        ("POST", "/leases/end", r#"{"actor": "a", "all": true}"#, 422),
        ("POST", "/leases/end", r#"{"actor": 1}"#, 422),
        ("POST", "/leases/end", r#"{"token": "act/1"}"#, 422),
        ("POST", "/leases/end", r#"["act_1"]"#, 422),
        ("POST", "/leases/end", r#"{"since": -1}"#, 422),
        ("POST", "/leases/end", r#"{"actor": "a""#, 400),
        ("POST", "/leases/end", r#"{"actor": "a"} {}"#, 400),
        (
            "POST",
            "/leases/end",
            r#"{"actor": "a", "actor": "b"}"#,
            422,
        ),
        ("POST", "/leases/x/end", "", 400),
        (
            "POST",
            "/leases/00000000000070008000000000000000/end",
            "",
            404,
        ),
        ("POST", &end, r#"{"session": true}"#, 422),
        ("POST", &end, "[]", 422),
        ("POST", "/actors/%ff/revoke", "", 400),
        ("POST", "/actors/a/revoke", r#"{"sessions": "yes"}"#, 422),
        ("POST", "/quota/reopen", r#"{"why": "x"}"#, 422),
        ("PUT", "/pause", "", 422),
        ("PUT", "/pause", "{}", 422),
        ("PUT", "/pause", "null", 422),
        ("PUT", "/pause", r#"{"paused": "true"}"#, 422),
        ("PUT", "/pause", &long, 422),
        ("PUT", "/pause", &huge, 413),
        ("GET", "/unknown", "", 404),
        ("GET", "/calls/", "", 404),
        ("GET", "//calls", "", 404),
        ("GET", "/Calls", "", 404),
    ] {
        let received = world.ask(method, path, body, "chief").await;
        assert_eq!(
            received.status, status,
            "{method} {path} {body}: {received:?}"
        );
        let error = &received.json()["errors"][0];
        for field in ["code", "message", "long_message"] {
            assert!(
                error[field].as_str().is_some_and(|it| !it.is_empty()),
                "{error}"
            );
        }
        assert_eq!(received.headers["cache-control"], "no-store");
    }
    assert_eq!(world.sandbox.ledger().revoked().count(), 0);
    let state = world.ask("GET", "/pause", "", "viewer").await.json();
    assert_eq!(state["is_paused"], false);
}

#[tokio::test]
async fn body_of_another_content_type_is_refused() {
    let world = World::open(Sandbox::new(), "").await;
    let request = Request::put("/admin/v1/pause")
        .header("authorization", "Bearer token-chief")
        .header("content-type", "text/plain")
        .body(Body::from(r#"{"paused": true}"#));
    let received = received(world.gateway.app(), request.unwrap()).await;
    assert_eq!(received.status, 415);
}

#[tokio::test]
async fn credential_must_be_one_bearer_token() {
    let world = World::open(Sandbox::new(), "").await;
    let ask = async |values: &[&str]| {
        let request = Request::get("/admin/v1/pause");
        let request = values
            .iter()
            .fold(request, |it, value| it.header("authorization", *value));
        received(world.gateway.app(), request.body(Body::empty()).unwrap())
            .await
            .status
    };
    assert_eq!(ask(&["Bearer token-viewer"]).await, 200);
    assert_eq!(ask(&["bearer  token-viewer "]).await, 200);
    for values in [
        &[] as &[&str],
        &["token-viewer"],
        &["Basic token-viewer"],
        &["Bearer"],
        &["Bearer "],
        &["Bearer token-viewe"],
        &["Bearer token-viewer x"],
        &["Bearer TOKEN-VIEWER"],
        &["Bearer token-viewer", "Bearer token-viewer"],
        &["Bearer token-viewer", "Bearer x"],
    ] {
        assert_eq!(ask(values).await, 401, "{values:?}");
    }
    // A key of the wire protocol is no operator's token, and the other way round.
    assert_eq!(ask(&[&format!("Bearer {KEY}")]).await, 401);
}

#[tokio::test]
async fn guessing_is_limited_and_operators_pass() {
    let world = World::open(Sandbox::new(), "").await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let received = world.ask("GET", "/calls", "", "stranger").await;
        statuses.push(received.status.as_u16());
        if received.status == 429 {
            assert!(received.headers.contains_key("retry-after"));
            assert_eq!(received.code(), "too_many_requests");
        }
    }
    assert_eq!(statuses[..30], [401; 30]);
    assert!(statuses[30..].contains(&429), "{statuses:?}");
    assert_eq!(world.ask("GET", "/calls", "", "viewer").await.status, 200);
}

/// Returns the only lease that was ended.
fn ended(received: &Received) -> Value {
    let json = received.json();
    let [ended] = json["ended"].as_array().unwrap().as_slice() else {
        panic!("{json}");
    };
    ended.clone()
}

#[tokio::test]
async fn lease_is_shown_until_it_is_ended() {
    let (world, token, call) = world().await;
    let leases = world.ask("GET", "/leases", "", "viewer").await.json();
    let lease = &leases["items"][0];
    assert_eq!(lease["call"], *call);
    assert_eq!(lease["actor_token_id"], token.id().as_str());
    assert_eq!(
        (&lease["subject"], &lease["actor"]),
        (&json!("user_subject"), &json!("user_admin"))
    );
    assert_eq!(
        (&lease["state"], &lease["principal"]),
        (&json!("returned"), &json!("billing"))
    );
    assert_eq!(leases["is_truncated"], false);

    let received = world
        .ask("POST", &format!("/leases/{call}/end"), "", "ender")
        .await;
    assert_eq!(ended(&received)["end"], "revoked");
    assert_eq!(world.sandbox.ledger().revoked().count(), 1);
    let leases = world.ask("GET", "/leases", "", "viewer").await.json();
    assert_eq!(leases["items"], json!([]));
    let leases = world
        .ask("GET", "/leases?ended=true", "", "viewer")
        .await
        .json();
    assert_eq!(leases["items"][0]["state"], "revoked");

    // The audit names the operator.
    let calls = world
        .ask("GET", "/calls?operation=revoke", "", "viewer")
        .await
        .json();
    let call = &calls["items"][0];
    assert_eq!(
        (&call["principal"], &call["via"]),
        (&json!("ender"), &json!("admin"))
    );

    let received = world
        .ask("POST", "/leases/end", r#"{"since": 0}"#, "ender")
        .await;
    assert_eq!(received.json()["ended"], json!([]));
}

#[tokio::test]
async fn leases_of_an_actor_or_a_subject_are_ended() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    let sdk = served.sdk(KEY);
    for (subject, actor) in [
        ("user_1", "user_a"),
        ("user_2", "user_a"),
        ("user_2", "user_b"),
    ] {
        let token = sdk
            .create(CreateActorToken::new(subject, Actor::new(actor)))
            .await
            .unwrap();
        assert!(token.expose_url().is_some());
    }
    let received = world
        .ask("POST", "/subjects/user_1/revoke", "", "ender")
        .await;
    assert_eq!(ended(&received)["end"], "revoked");
    let both = r#"{"subject": "user_2", "actor": "user_b"}"#;
    let received = world.ask("POST", "/leases/end", both, "ender").await;
    assert_eq!(ended(&received)["end"], "revoked");
    let received = world
        .ask("POST", "/actors/user_a/revoke", "", "ender")
        .await;
    assert_eq!(ended(&received)["end"], "revoked");
    assert_eq!(world.sandbox.ledger().pending().count(), 0);
}

#[tokio::test]
async fn session_is_ended_on_request() {
    let (world, token, call) = world().await;
    world.sandbox.accept(token.expose_url().unwrap()).unwrap();
    let end = format!("/leases/{call}/end");
    let received = world.ask("POST", &end, "", "ender").await;
    assert_eq!(ended(&received)["end"], "accepted");
    assert_eq!(world.sandbox.ledger().live_sessions().count(), 1);
    let received = world
        .ask("POST", &end, r#"{"sessions": true}"#, "ender")
        .await;
    assert_eq!(ended(&received)["end"], "session_ended");
    assert_eq!(world.sandbox.ledger().live_sessions().count(), 0);
}

#[tokio::test]
async fn calls_are_paged_and_each_has_its_entries() {
    let world = World::open(Sandbox::new(), "").await;
    let served = world.serve().await;
    for _ in 0..5 {
        let token = served.sdk(KEY).create(create()).await.unwrap();
        assert!(token.expose_url().is_some());
    }
    let (mut seen, mut before) = (Vec::new(), String::new());
    loop {
        let page = world
            .ask("GET", &format!("/calls?limit=2{before}"), "", "viewer")
            .await
            .json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(
            items
                .iter()
                .map(|it| it["call"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        before = format!("&before={next}");
    }
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (5, 5));
    // Ids sort by time, and the newest is first.
    assert!(seen.iter().rev().is_sorted(), "{seen:?}");

    let call = world
        .ask("GET", &format!("/calls/{}", seen[0]), "", "viewer")
        .await
        .json();
    let events = call["entries"].as_array().unwrap().iter();
    let events: Vec<_> = events
        .map(|entry| entry["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["begin", "sending", "end"]);
}
