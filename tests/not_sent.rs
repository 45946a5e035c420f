//! A request whose call failed with the outcome `NotSent` never reaches a server, even if its connection
//! writes later.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, ClientBuilder, CreateActorToken, Error,
    OperationKind, Outcome, Payload, SecretKey,
    layer::{
        ApiHeadersLayer, CollectBodyLayer, DecodeErrorLayer, SettleLayer, TimeoutLayer,
        retry::Verdict,
    },
};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, DuplexStream};
use tower::{Layer, Service, ServiceExt};

type Connection = http1::Connection<TokioIo<DuplexStream>, Body>;

/// Returns a transport over one connection, that connection for the test to poll, and its server side.
async fn transport() -> (
    impl Service<Request<Body>, Response = Response<Incoming>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static,
    Connection,
    DuplexStream,
) {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
    let sender = Arc::new(Mutex::new(sender));
    let transport = tower::service_fn(move |request: Request<Body>| {
        let response = sender.lock().unwrap().send_request(request);
        async move { response.await.map_err(BoxError::from) }
    });
    (transport, connection, server)
}

/// Returns what the server received before the connection ended.
async fn received(mut server: DuplexStream) -> String {
    let mut received = String::new();
    server.read_to_string(&mut received).await.unwrap();
    received
}

fn drive(connection: &mut Connection) {
    let cx = &mut Context::from_waker(Waker::noop());
    let _ = Pin::new(connection).poll(cx);
}

#[tokio::test(start_paused = true)]
async fn connection_sends_nothing_while_the_future_of_a_failed_attempt_is_kept() {
    for (kind, bytes) in [(OperationKind::Revoke, ""), (OperationKind::Create, "{}")] {
        let (transport, mut connection, server) = transport().await;
        let stack = ApiHeadersLayer::default().layer(transport);
        let stack = CollectBodyLayer::default().layer(stack);
        let stack = SettleLayer::disabled().layer(stack);
        let stack = TimeoutLayer::new(Duration::from_secs(1)).layer(stack);
        let stack = DecodeErrorLayer::new().layer(stack);
        let request = Request::post("/actor_tokens")
            .body(Payload::new(kind, bytes))
            .unwrap();
        // `join!` keeps a future that has ended.
        let mut attempt = Box::pin(stack.oneshot(request));
        let error = attempt.as_mut().await.unwrap_err();
        let error = error.downcast::<Error>().unwrap();
        assert_eq!(error.outcome(), Outcome::NotSent);
        drive(&mut connection);
        drop((attempt, connection));
        assert_eq!(received(server).await, "", "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn connection_sends_nothing_while_a_failure_is_classified() {
    let revoke = || ActorTokenRequest::revoke("act_1".parse().unwrap());
    let create =
        || ActorTokenRequest::create(CreateActorToken::new("user_1", Actor::new("user_2")));
    for request in [revoke(), create()] {
        let (transport, connection, server) = transport().await;
        let connection = Arc::new(Mutex::new(Some(connection)));
        let elsewhere = Arc::clone(&connection);
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
            .attempt_timeout(Duration::from_secs(1))
            .retry_classifier(move |error, _, _| {
                assert_eq!(error.outcome(), Outcome::NotSent);
                // Another thread may do this at the same time.
                drive(elsewhere.lock().unwrap().as_mut().unwrap());
                Verdict::Stop
            })
            .build()
            .unwrap();
        let error = client.send(request).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent);
        drop(connection.lock().unwrap().take());
        assert_eq!(received(server).await, "");
    }
}
