//! What is told not to have been sent never reaches a server, however late its connection gets to it.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, ClientBuilder, CreateActorToken, Error,
    OperationKind, Outcome, SecretKey,
    layer::{ApiHeadersLayer, CollectBodyLayer, DecodeErrorLayer, TimeoutLayer, retry::Verdict},
};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, DuplexStream};
use tower::{Layer, Service, ServiceExt};

type Connection = http1::Connection<TokioIo<DuplexStream>, Body>;

/// A transport over one connection, which somebody else drives, and the server's end of it.
async fn transport() -> (
    impl Service<Request<Body>, Response = Response<Incoming>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Sync,
    Connection,
    DuplexStream,
) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
    let sender = Arc::new(Mutex::new(sender));
    let transport = tower::service_fn(move |request: Request<Body>| {
        let answer = sender.lock().unwrap().send_request(request);
        async move { answer.await.map_err(BoxError::from) }
    });
    (transport, connection, theirs)
}

/// What a server saw by the time that the connection ended.
async fn seen(mut theirs: DuplexStream) -> String {
    let mut seen = String::new();
    theirs.read_to_string(&mut seen).await.unwrap();
    seen
}

fn drive(connection: &mut Connection) {
    let cx = &mut Context::from_waker(Waker::noop());
    let _ = std::pin::Pin::new(connection).poll(cx);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_kept_after_it_ended_sends_nothing_more() {
    for kind in [OperationKind::Revoke, OperationKind::Create] {
        let (transport, mut connection, theirs) = transport().await;
        let stack = ApiHeadersLayer::default().layer(transport);
        let stack = CollectBodyLayer::default().layer(stack);
        let stack = TimeoutLayer::new(Duration::from_secs(1)).layer(stack);
        let stack = DecodeErrorLayer::new().layer(stack);
        let body = match kind {
            OperationKind::Create => "{}",
            _ => "",
        };
        let request = Request::post("/actor_tokens")
            .body(Body::new(kind, body))
            .unwrap();
        // As joins of futures keep it.
        let mut call = Box::pin(stack.oneshot(request));
        let error = call
            .as_mut()
            .await
            .unwrap_err()
            .downcast::<Error>()
            .unwrap();
        assert_eq!(error.outcome(), Outcome::NotSent);
        drive(&mut connection);
        drop((call, connection));
        assert_eq!(seen(theirs).await, "", "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_goes_on_while_a_failure_is_weighed_sends_nothing() {
    let revoke = || ActorTokenRequest::revoke("act_1".parse().unwrap());
    let create =
        || ActorTokenRequest::create(CreateActorToken::new("user_1", Actor::new("user_2")));
    for request in [revoke(), create()] {
        let (transport, connection, theirs) = transport().await;
        let connection = Arc::new(Mutex::new(Some(connection)));
        let elsewhere = Arc::clone(&connection);
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
            .attempt_timeout(Duration::from_secs(1))
            .retry_classifier(move |error, _, _| {
                assert_eq!(error.outcome(), Outcome::NotSent);
                // What another thread may do at this very time.
                drive(elsewhere.lock().unwrap().as_mut().unwrap());
                Verdict::Stop
            })
            .build()
            .unwrap();
        let error = client.send(request).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent);
        drop(connection.lock().unwrap().take());
        assert_eq!(seen(theirs).await, "");
    }
}
