//! Whatever is shown, told or panicked with shows no secret.

mod support {
    pub(crate) mod answer;
    pub(crate) mod marked;
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
    ActorToken, BaseUrl, Body, BoxError, Client, ClientBuilder, KeySource, RotatingKey, layer,
    layer::settle::SettleEvent, sandbox::Sandbox, server::ActorTokensApi,
};
use http::{HeaderValue, Request};
use support::{
    answer::answer,
    marked::{MINTED, SIGNATURE, Telltale, assert_hidden, attempt, create, hidden, key, minted},
    search,
    shown::shown,
};
use tower::{Layer, service_fn};

#[test]
fn keys_and_what_holds_them_show_none() {
    hidden(&key());
    hidden(&KeySource::from(key()));
    hidden(&RotatingKey::new(key()));
    let auth = layer::BearerAuthLayer::new(key(), BaseUrl::default());
    hidden(&auth);
    hidden(&auth.layer(Telltale));
    let builder = ClientBuilder::over(key(), Telltale);
    hidden(&builder);
    hidden(&builder.clone().service().unwrap());
    hidden(&builder.build().unwrap());
    let sandbox = Sandbox::new().key(key());
    hidden(&sandbox);
    hidden(&sandbox.transport());
    hidden(&ActorTokensApi::new(sandbox.transport(), key()));
}

#[test]
fn requests_and_tokens_show_no_users_and_no_credentials() {
    let request = create().header(SIGNATURE, HeaderValue::from_static("MARKER, unmarked"));
    hidden(&request);
    hidden(request.operation());
    hidden(&attempt());
    let token = ActorToken::from_json(MINTED.as_bytes()).unwrap();
    hidden(&token);
    hidden(token.ticket().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_is_told_without_secrets() {
    let answers = Arc::new(Mutex::new(Vec::from([
        answer(
            400,
            &[],
            r#"{"errors":[{"code":"sk_test_MARKER","message":"sk_test_MARKER"}]}"#,
        ),
        minted(),
    ])));
    let told = Arc::new(Mutex::new(String::new()));
    let (events, seen) = (Arc::clone(&told), Arc::clone(&told));
    let transport = service_fn(move |request: Request<Body>| {
        let _sent = request.into_body().into_bytes();
        ready(Ok::<_, BoxError>(answers.lock().unwrap().pop().unwrap()))
    });
    let settle = layer::SettleLayer::new().on_settle(move |event: &SettleEvent| {
        *events.lock().unwrap() += &format!("{event:?} {event:#?}");
    });
    hidden(&settle);
    hidden(&settle.layer(Telltale));
    let trace = layer::TraceLayer::new().make_span(move |facts| {
        *seen.lock().unwrap() += &format!("{facts:?} {facts:#?}");
        tracing::Span::none()
    });
    let client = ClientBuilder::over(key(), transport)
        .settle(settle)
        .trace(trace);
    let client = client.build().unwrap();
    let mut request = create();
    request.extensions_mut().insert("MARKER");
    let lease = client.lease(request).await.unwrap();
    hidden(&lease);
    drop(lease);
    hidden(&client.drain(Duration::from_secs(600)).await);
    let told = told.lock().unwrap();
    assert!(
        told.contains("NotRevoked") && told.contains("SpanContext"),
        "{told}"
    );
    assert_hidden(&told);
}

#[track_caller]
fn assert_panics_hidden(panics: impl FnOnce()) {
    let (panicked, leaks) = search::during(|| catch_unwind(AssertUnwindSafe(panics)));
    let message = panicked.expect_err("it did not panic");
    assert!(message.is::<String>() || message.is::<&str>());
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn the_message_of_no_panic_shows_a_secret() {
    let minting = ClientBuilder::over(key(), Telltale).build().unwrap();
    for client in [minting, echoing()] {
        let (result, leaks) = search::during(|| block_on(client.send(create())));
        assert!(leaks.is_empty(), "{leaks:?}");
        assert_panics_hidden(|| match result {
            Ok(_) => drop(result.unwrap_err()),
            Err(_) => drop(result.unwrap()),
        });
    }
    let token = || ActorToken::from_json(MINTED.as_bytes()).unwrap();
    assert_panics_hidden(|| assert!(token().ticket().is_none(), "{:?}", token().ticket()));
    assert_panics_hidden(|| panic!("{:?}", key()));
    assert_panics_hidden(|| panic!("{:?} {:?}", create(), attempt()));
}

#[test]
fn a_transport_that_panics_with_a_request_in_its_hands_shows_nothing_of_it() {
    let panicking = service_fn(|request: Request<Body>| async move {
        let (_, headers) = (request.uri(), request.headers());
        assert!(headers.is_empty(), "what is this? {request:?}");
        Ok::<_, BoxError>(minted())
    });
    let client = ClientBuilder::over(key(), panicking).build().unwrap();
    assert_panics_hidden(|| drop(block_on(client.send(create()))));
}

/// A client whose every word comes back, the key included.
fn echoing() -> Client {
    let echo = service_fn(|request: Request<Body>| async move {
        let key = request.headers()["authorization"].to_str()?;
        let body = format!(
            r#"{{"errors":[{{"code":"{key}","message":"{key}","long_message":"{key}","meta":{{"{key}":["{key}"]}}}}],"clerk_trace_id":"{key}"}}"#
        );
        Ok::<_, BoxError>(answer(401, &[("cf-ray", key)], body))
    });
    ClientBuilder::over(key(), echo).build().unwrap()
}

#[test]
fn no_error_shows_a_key_that_the_api_echoes() {
    let (error, leaks) = search::during(|| block_on(echoing().send(create())).unwrap_err());
    assert_eq!(error.status().map(|status| status.as_u16()), Some(401));
    assert_hidden(&shown(&error));
    assert_hidden(&format!(
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
