//! Requests and responses match the API's own OpenAPI description.

mod support {
    pub(crate) mod response;
    pub(crate) mod schema;
    pub(crate) mod scripted;
}

use std::time::Duration;

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenStatus, BaseUrl, Client, ClientBuilder, CreateActorToken,
    SecretKey, layer::ApiVersion,
};
use http::Request;
use serde_json::{Value, json};
use support::{response::response, schema::OpenApi, scripted::Scripted};

const CREATE: &str = "/actor_tokens";
const REVOKE: &str = "/actor_tokens/{actor_token_id}/revoke";

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}

fn token(status: &str) -> Value {
    json!({
        "object": "actor_token",
        "id": "act_1",
        "status": status,
        "user_id": "user_subject",
        "actor": { "sub": "user_admin", "reason": { "ticket": 4711 } },
        "token": "eyJ",
        "url": "https://clerk.example.com/v1/tickets/accept?ticket=eyJ",
        "created_at": 4_100_000_000_123_i64,
        "updated_at": 4_100_000_000_456_i64,
    })
}

fn client(transport: &Scripted) -> Client {
    let key = SecretKey::new("sk_test_openapi").unwrap();
    ClientBuilder::over(key, transport.clone()).build().unwrap()
}

/// Returns the request that a create sends.
async fn sent(create: CreateActorToken) -> Request<Bytes> {
    let transport = Scripted::new([response(200, &[], token("pending").to_string())]);
    client(&transport).create(create).await.unwrap();
    transport.sent().remove(0)
}

#[test]
fn default_base_url_and_version_match_the_description() {
    let api = OpenApi::load();
    let server = &api.at("/servers/0/url");
    assert_eq!(server, &BaseUrl::default().to_string());
    let version = api.at("/info/version");
    assert_eq!(&version, ApiVersion::default().as_str());
}

#[tokio::test]
async fn every_create_body_matches_the_schema() {
    let api = OpenApi::load();
    let schema = api.request_schema(CREATE);
    let claims = Actor::new("cli:admin@example.com")
        .claim(
            "reason",
            json!({ "ticket": 4711, "notes": [null, true, 1.5] }),
        )
        .claim("user_id", "user_other");
    let lifetime = Duration::from_secs(300);
    for create in [
        create(),
        create().expires_in(lifetime),
        create().session_max_duration(lifetime),
        CreateActorToken::new("user_subject", claims)
            .expires_in(Duration::from_secs(1))
            .session_max_duration(Duration::from_secs(i32::MAX as u64)),
    ] {
        let request = sent(create).await;
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        api.check(&schema, &body).unwrap();
    }
}

#[tokio::test]
async fn assumed_lifetime_is_the_default_of_the_schema() {
    let api = OpenApi::load();
    let schema = api.request_schema(CREATE);
    let default = schema["properties"]["expires_in_seconds"]["default"].as_u64();
    let transport = Scripted::new([response(200, &[], token("pending").to_string())]);
    let token = client(&transport).create(create()).await.unwrap();
    let assumed = token
        .expires_at()
        .unwrap()
        .duration_since(token.created_at().unwrap());
    assert_eq!(default, Some(assumed.unwrap().as_secs()));
}

#[tokio::test]
async fn methods_paths_and_parameters_match_the_description() {
    let api = OpenApi::load();
    let server = api.at("/servers/0/url");
    let server = server.as_str().unwrap();

    let request = sent(create()).await;
    assert_eq!(request.uri().to_string(), format!("{server}{CREATE}"));
    api.check_operation(CREATE, request.method());
    assert_eq!(request.headers()["content-type"], "application/json");

    let transport = Scripted::new([response(200, &[], token("revoked").to_string())]);
    client(&transport).revoke("act_1").await.unwrap();
    let request = transport.sent().remove(0);
    let path = REVOKE.replace("{actor_token_id}", "act_1");
    assert_eq!(request.uri().to_string(), format!("{server}{path}"));
    api.check_operation(REVOKE, request.method());
    assert!(request.body().is_empty());
    let body = api.operation(REVOKE)["requestBody"].clone();
    assert_eq!(body, Value::Null, "the description requires a body");
}

#[test]
fn token_that_matches_the_schema_survives_a_round_trip() {
    let api = OpenApi::load();
    let schema = api.response_schema(CREATE, 200);
    assert_eq!(schema, api.response_schema(REVOKE, 200));
    for status in schema["properties"]["status"]["enum"].as_array().unwrap() {
        let status = status.as_str().unwrap();
        let wire = token(status);
        api.check(&schema, &wire).unwrap();
        let read = ActorToken::from_json(wire.to_string().as_bytes()).unwrap();
        assert!(
            !matches!(read.status(), ActorTokenStatus::Other(_)),
            "{status}"
        );
        let written: Value = serde_json::from_slice(&read.expose_json()).unwrap();
        api.check(&schema, &written).unwrap();
        assert_eq!(written, wire);
    }
}

#[tokio::test]
async fn every_described_error_is_read_in_full() {
    let api = OpenApi::load();
    let wire = json!({
        "errors": [{
            "message": "is missing",
            "long_message": "actor.sub must be included.",
            "code": "form_param_missing",
            "meta": { "param_name": "actor.sub" },
        }],
        "clerk_trace_id": "trace_1",
    });
    for (path, statuses) in [(CREATE, [400, 402, 422]), (REVOKE, [400, 404, 404])] {
        for status in statuses {
            let schema = api.response_schema(path, status);
            api.check(&schema, &wire).unwrap();
            let transport = Scripted::new([response(status, &[], wire.to_string())]);
            let error = match path {
                CREATE => client(&transport).create(create()).await,
                _ => client(&transport).revoke("act_1").await,
            };
            let error = error.unwrap_err();
            assert_eq!(error.status().map(|it| it.as_u16()), Some(status));
            let read = serde_json::to_value(error.clerk_errors().unwrap()).unwrap();
            assert_eq!(read, wire);
        }
    }
}

#[test]
fn checker_rejects_values_that_do_not_match() {
    let api = OpenApi::load();
    let schema = api.request_schema(CREATE);
    let body = |lifetime: Value| json!({ "user_id": "u", "actor": { "sub": "a", "more": [1] }, "expires_in_seconds": lifetime });
    assert!(api.check(&schema, &body(json!(300))).is_ok());
    for wrong in [
        body(Value::Null),
        body(json!("300")),
        body(json!(1.5)),
        json!({ "user_id": "u" }),
        json!({ "user_id": "u", "actor": {} }),
        json!({ "user_id": "u", "actor": { "sub": "a" }, "more": 1 }),
        json!([]),
    ] {
        assert!(api.check(&schema, &wrong).is_err(), "{wrong}");
    }
    let schema = api.response_schema(CREATE, 200);
    assert!(api.check(&schema, &token("paused")).is_err());
}
