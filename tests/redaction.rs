//! No `Debug`, no error, no report and no panic shows a secret.

mod support {
    pub(crate) mod marked;
    pub(crate) mod response;
    pub(crate) mod search;
    pub(crate) mod shown;
}

use std::{
    future::ready,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, BaseUrl, Body, BoxError, Client, ClientBuilder, KeySource, RotatingKey, SecretKey,
    TokenResponse, layer, layer::settle::SettleEvent, sandbox::Sandbox, server::ActorTokensApi,
};
use http::{HeaderValue, Request};
use support::{
    marked::{
        MINTED, RevealingTransport, SIGNATURE, assert_debug_hidden, assert_text_hidden, attempt,
        create, key, minted, payload,
    },
    response::response,
    search,
    shown::shown,
};
use tower::{Layer, service_fn};

#[test]
fn debug_of_a_key_and_of_its_holders_shows_no_key() {
    assert_debug_hidden(&key());
    assert_debug_hidden(&KeySource::from(key()));
    assert_debug_hidden(&RotatingKey::new(key()));
    let auth = layer::BearerAuthLayer::new(key(), BaseUrl::default());
    assert_debug_hidden(&auth);
    assert_debug_hidden(&auth.layer(RevealingTransport));
    let builder = ClientBuilder::over(key(), RevealingTransport);
    assert_debug_hidden(&builder);
    assert_debug_hidden(&builder.clone().service().unwrap());
    assert_debug_hidden(&builder.build().unwrap());
    let sandbox = Sandbox::new().key(key());
    assert_debug_hidden(&sandbox);
    assert_debug_hidden(&sandbox.transport());
    assert_debug_hidden(&ActorTokensApi::new(sandbox.transport(), long_key()).unwrap());
}

/// Returns a key that is long enough for `ActorTokensApi`.
fn long_key() -> SecretKey {
    SecretKey::new("sk_test_MARKER_0123456789").unwrap()
}

#[test]
fn debug_of_requests_and_tokens_shows_no_user_and_no_credential() {
    let request = create().header(SIGNATURE, HeaderValue::from_static("MARKER, unmarked"));
    assert_debug_hidden(&request);
    assert_debug_hidden(request.operation());
    assert_debug_hidden(&attempt());
    assert_debug_hidden(&payload());
    assert_debug_hidden(&TokenResponse::new(MINTED));
    let token = ActorToken::from_json(MINTED.as_bytes()).unwrap();
    assert_debug_hidden(&token);
    assert_debug_hidden(token.ticket().unwrap());
}

#[tokio::test(start_paused = true)]
async fn settle_reports_and_span_contexts_show_no_secret() {
    let responses = Arc::new(Mutex::new(Vec::from([
        response(
            400,
            &[],
            r#"{"errors":[{"code":"sk_test_MARKER","message":"sk_test_MARKER"}]}"#,
        ),
        minted(),
    ])));
    let shown = Arc::new(Mutex::new(String::new()));
    let (events, contexts) = (Arc::clone(&shown), Arc::clone(&shown));
    let transport = service_fn(move |request: Request<Body>| {
        let _sent = request.into_body().into_bytes();
        ready(Ok::<_, BoxError>(responses.lock().unwrap().pop().unwrap()))
    });
    let settle = layer::SettleLayer::new().on_settle(move |event: &SettleEvent| {
        *events.lock().unwrap() += &format!("{event:?} {event:#?}");
    });
    assert_debug_hidden(&settle);
    let collected = layer::CollectBodyLayer::default().layer(RevealingTransport);
    assert_debug_hidden(&settle.layer(collected));
    let trace = layer::TraceLayer::new().make_span(move |context| {
        *contexts.lock().unwrap() += &format!("{context:?} {context:#?}");
        tracing::Span::none()
    });
    let client = ClientBuilder::over(key(), transport)
        .settle(settle)
        .trace(trace);
    let client = client.build().unwrap();
    let mut request = create();
    request.extensions_mut().insert("MARKER");
    let lease = client.lease(request).await.unwrap();
    assert_debug_hidden(&lease);
    drop(lease);
    assert_debug_hidden(&client.drain(Duration::from_secs(600)).await);
    let shown = shown.lock().unwrap();
    assert!(
        shown.contains("NotRevoked") && shown.contains("SpanContext"),
        "{shown}"
    );
    assert_text_hidden(&shown);
}

#[track_caller]
fn assert_panic_hidden(panics: impl FnOnce()) {
    let (panicked, leaks) = search::during(|| catch_unwind(AssertUnwindSafe(panics)));
    let message = panicked.expect_err("no panic");
    assert!(message.is::<String>() || message.is::<&str>());
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn panic_messages_show_no_secret() {
    let minting = ClientBuilder::over(key(), RevealingTransport)
        .build()
        .unwrap();
    for client in [minting, echoing()] {
        let (result, leaks) = search::during(|| block_on(client.send(create())));
        assert!(leaks.is_empty(), "{leaks:?}");
        assert_panic_hidden(|| match result {
            Ok(_) => drop(result.unwrap_err()),
            Err(_) => drop(result.unwrap()),
        });
    }
    let token = || ActorToken::from_json(MINTED.as_bytes()).unwrap();
    assert_panic_hidden(|| assert!(token().ticket().is_none(), "{:?}", token().ticket()));
    assert_panic_hidden(|| panic!("{:?}", key()));
    assert_panic_hidden(|| panic!("{:?} {:?}", create(), attempt()));
}

#[test]
fn panic_of_a_transport_shows_nothing_of_its_request() {
    let panicking = service_fn(|request: Request<Body>| async move {
        let (_, headers) = (request.uri(), request.headers());
        assert!(headers.is_empty(), "unexpected: {request:?}");
        Ok::<_, BoxError>(minted())
    });
    let client = ClientBuilder::over(key(), panicking).build().unwrap();
    assert_panic_hidden(|| drop(block_on(client.send(create()))));
}

/// Returns a client of an API that repeats the key in every part of its response.
fn echoing() -> Client {
    let echo = service_fn(|request: Request<Body>| async move {
        let key = request.headers()["authorization"].to_str()?;
        let body = format!(
            r#"{{"errors":[{{"code":"{key}","message":"{key}","long_message":"{key}","meta":{{"{key}":["{key}"]}}}}],"clerk_trace_id":"{key}"}}"#
        );
        Ok::<_, BoxError>(response(401, &[("cf-ray", key)], body))
    });
    ClientBuilder::over(key(), echo).build().unwrap()
}

#[test]
fn error_does_not_show_a_key_that_the_api_echoes() {
    let (error, leaks) = search::during(|| block_on(echoing().send(create())).unwrap_err());
    assert_eq!(error.status().map(|status| status.as_u16()), Some(401));
    assert_text_hidden(&shown(&error));
    assert_text_hidden(&format!(
        "{:?} {:?} {:?}",
        error.clerk_errors(),
        error.code(),
        error.trace_id()
    ));
    assert!(leaks.is_empty(), "{leaks:?}");
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}
