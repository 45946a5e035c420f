//! The builder's settings take text. `build` returns an invalid one and names its method.

mod support {
    pub(crate) mod reserved;
}

use std::{
    future::ready,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenId, ActorTokenRequest, BaseUrl, Body, Client, ClientBuilder, ConfigError,
    CreateActorToken, ErrorKind, Outcome, SecretKey,
    client::{CustomTransport, Layers},
    layer::ApiVersion,
    sandbox::{Sandbox, SandboxBody, SandboxTransport},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use support::reserved::RESERVED;
use tower::{
    Layer,
    util::{BoxCloneSyncService, MapRequestLayer},
};

type Builder = ClientBuilder<Layers, CustomTransport<SandboxTransport>>;

fn builder() -> Builder {
    let sandbox = Sandbox::new();
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

#[test]
fn invalid_setting_is_returned_by_build_and_names_its_method() {
    type Set = fn(Builder) -> Builder;
    let settings: [(Set, &str); 7] = [
        (
            |it| it.base_url("api.clerk.com"),
            "could not set base_url: the base URL needs a scheme and a host, like https://api.clerk.com/v1",
        ),
        (
            |it| it.allow_base_url(String::from("http://clerk.example")),
            "could not set allow_base_url: the base URL must start with https://, plain http:// is accepted for loopback only",
        ),
        (
            |it| it.api_version("latest"),
            "could not set api_version: an API version is a date like 2026-05-12",
        ),
        (
            |it| it.user_agent("desk\r\nx-injected: 1"),
            "could not set user_agent: failed to parse header value",
        ),
        (
            |it| it.default_header("x tenant", "acme"),
            "could not set default_header: invalid HTTP header name",
        ),
        (
            |it| it.default_header("x-tenant", "ac\nme"),
            "could not set default_header: failed to parse header value",
        ),
        (
            |it| it.default_header("Transfer-Encoding", "chunked"),
            "could not set default_header: the client itself sets transfer-encoding",
        ),
    ];
    for (set, message) in settings {
        let error = set(builder()).build().unwrap_err();
        assert!(matches!(error, ConfigError::Setting { .. }));
        assert_eq!(error.to_string(), message);
        assert_eq!(set(builder()).service().unwrap_err().to_string(), message);
    }
}

#[test]
fn header_that_only_the_stack_sets_is_refused() {
    for name in RESERVED {
        let error = builder().default_header(name, "1").build().unwrap_err();
        assert!(error.to_string().ends_with(name), "{error}");
    }
}

#[test]
fn first_invalid_setting_is_returned() {
    let builder = builder()
        .api_version("")
        .base_url("")
        .api_version("2025-11-10");
    let error = builder.clone().build().unwrap_err();
    assert!(matches!(
        error,
        ConfigError::Setting {
            setting: "api_version",
            ..
        }
    ));
    assert_eq!(builder.build().unwrap_err().to_string(), error.to_string());
}

#[test]
fn settings_take_text_and_parsed_values() {
    let url: BaseUrl = "https://gateway.example".parse().unwrap();
    builder()
        .base_url("https://gateway.example/v1")
        .base_url(String::from("https://gateway.example/v1"))
        .base_url(url.clone())
        .allow_base_url(url)
        .api_version("2025-11-10")
        .api_version(String::from("2025-11-10"))
        .api_version(ApiVersion::default())
        .user_agent("desk/1")
        .user_agent(HeaderValue::from_static("desk/1"))
        .default_header("x-tenant", "acme")
        .default_header(HeaderName::from_static("x-tenant"), String::from("acme"))
        .build()
        .unwrap();
}

type Sent = Arc<Mutex<Vec<HeaderMap>>>;
type Recorded = BoxCloneSyncService<Request<Body>, Response<SandboxBody>, io::Error>;

/// Returns the headers of each request that is sent, and a builder.
fn recorded() -> (Sent, ClientBuilder<Layers, CustomTransport<Recorded>>) {
    let sent = Sent::default();
    let (sandbox, recorded) = (Sandbox::new(), Arc::clone(&sent));
    let record = MapRequestLayer::new(move |request: Request<Body>| {
        recorded.lock().unwrap().push(request.headers().clone());
        request
    });
    let transport = Recorded::new(record.layer(sandbox.transport()));
    (sent, ClientBuilder::over(sandbox.secret_key(), transport))
}

#[tokio::test(start_paused = true)]
async fn default_headers_are_sent_with_every_request_and_compensating_revokes() {
    let (sent, builder) = recorded();
    let client = builder
        .default_header("x-tenant", "replaced")
        .default_header("x-tenant", "acme")
        .default_header("accept", "text/html")
        .default_header("content-type", "text/html")
        .user_agent("desk/1")
        .build()
        .unwrap();
    drop(client.create(create()).await.unwrap());
    client.drain(Duration::from_secs(60)).await;
    client.revoke("act_unknown").await.unwrap_err();
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 3);
    for headers in &*sent {
        let tenants: Vec<_> = headers.get_all("x-tenant").iter().collect();
        assert_eq!(tenants, ["acme"]);
        assert_eq!(headers["user-agent"], "desk/1");
        assert_eq!(headers["accept"], "application/json");
        assert_eq!(headers.get_all("user-agent").iter().count(), 1);
    }
    assert_eq!(sent[0]["content-type"], "application/json");
    assert!(!sent[2].contains_key("content-type"));
}

#[tokio::test(start_paused = true)]
async fn header_of_a_call_replaces_the_default_one() {
    let (sent, builder) = recorded();
    let client = builder
        .default_header("x-tenant", "acme")
        .default_header("x-region", "eu")
        .build()
        .unwrap();
    let mut request = ActorTokenRequest::create(create());
    for tenant in ["a", "b"] {
        let tenant = HeaderValue::from_static(tenant);
        request.headers_mut().append("x-tenant", tenant);
    }
    drop(client.send(request).await.unwrap());
    client.drain(Duration::from_secs(60)).await;
    for headers in &*sent.lock().unwrap() {
        let tenants: Vec<_> = headers.get_all("x-tenant").iter().collect();
        assert_eq!(tenants, ["a", "b"]);
        assert_eq!(headers["x-region"], "eu");
    }
}

#[test]
fn debug_does_not_show_the_value_of_a_default_header() {
    let builder = builder()
        .default_header("x-gateway-key", "s3cret")
        .default_header("x-b", "s3cret");
    let (layer, client) = (
        builder.api_headers_layer(),
        builder.clone().service().unwrap(),
    );
    let shown = format!("{builder:?} {builder:#?} {layer:?} {client:?}");
    assert!(shown.contains("x-gateway-key") && !shown.contains("s3cret"));
}

#[tokio::test]
async fn revoke_takes_an_id_or_text_and_refuses_an_invalid_one() {
    let sandbox = Sandbox::new();
    let client = Client::new(sandbox.clone());
    let id: ActorTokenId = "act_unknown".parse().unwrap();
    let text = String::from("act_unknown");
    for result in [
        client.revoke(&id).await,
        client.revoke(id.clone()).await,
        client.revoke("act_unknown").await,
        client.revoke(text.as_str()).await,
        client.revoke(text).await,
    ] {
        assert_eq!(result.unwrap_err().status(), Some(StatusCode::NOT_FOUND));
    }
    let error = client.revoke("../users").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::InvalidRequest, Outcome::NotSent)
    );
    assert!(error.is_permanent());
    assert_eq!(
        error.to_string(),
        "the request was refused before it was sent: an actor token id has only A-Z a-z 0-9 _ -, the character at byte 0 is not allowed"
    );
}

#[tokio::test]
async fn revoke_reads_an_id_that_is_not_send_before_its_future() {
    struct Shared(std::rc::Rc<str>);

    impl TryFrom<Shared> for ActorTokenId {
        type Error = clerk_actor_tokens::InvalidActorTokenId;

        fn try_from(Shared(id): Shared) -> Result<Self, Self::Error> {
            Self::try_from(&*id)
        }
    }

    fn sent<F: Future + Send>(future: F) -> F {
        future
    }

    let transport = tower::service_fn(|request: Request<Body>| {
        assert!(request.uri().path().ends_with("/act_1/revoke"));
        let body = r#"{"id":"act_1","status":"revoked"}"#;
        ready(Ok::<_, io::Error>(Response::new(String::from(body))))
    });
    let key = SecretKey::new("sk_test_1").unwrap();
    let client = ClientBuilder::over(key, transport).build().unwrap();
    sent(client.revoke(Shared("act_1".into()))).await.unwrap();
}
