//! Json, DecodeError, Timeout and CollectBody, each used alone.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{pending, ready},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, ClerkErrors, CreateActorToken, Error, ErrorKind,
    OperationKind, Outcome, Payload, TokenResponse,
    layer::{
        CollectBodyLayer, DecodeErrorLayer, JsonLayer, SettleLayer, TimeoutLayer,
        timeout::{Scope, TimedOut},
    },
};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use hyper::client::conn::http1;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use pooled_transport::PooledTransport;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};

const ATTEMPT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(30);

fn call() -> ActorTokenRequest {
    ActorTokenRequest::revoke("act_1".parse().unwrap())
}

fn attempt() -> Request<Body> {
    Request::new(Body::new(OperationKind::Revoke, ""))
}

/// Returns which timeout ended the future, and when.
async fn end<T>(future: impl Future<Output = Result<T, BoxError>>) -> (Scope, Duration) {
    let begun = Instant::now();
    let error = future.await.map(drop).unwrap_err();
    (
        error.downcast::<TimedOut>().unwrap().scope(),
        begun.elapsed(),
    )
}

fn endless_attempt() -> impl Future<Output = Result<(), BoxError>> {
    let endless = service_fn(|_| pending::<Result<(), BoxError>>());
    TimeoutLayer::new(ATTEMPT).layer(endless).oneshot(attempt())
}

#[tokio::test(start_paused = true)]
async fn each_of_two_nested_deadlines_holds() {
    let of_call = TimeoutLayer::new(CALL);
    let one = of_call.layer(service_fn(|_| endless_attempt()));
    assert_eq!(end(one.oneshot(call())).await, (Scope::Attempt, ATTEMPT));
    let many = of_call.layer(service_fn(|_| async {
        while endless_attempt().await.is_err() {}
        Ok::<_, BoxError>(())
    }));
    assert_eq!(end(many.oneshot(call())).await, (Scope::Call, CALL));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_readiness_of_a_call_is_bounded() {
    let full = ConcurrencyLimit::new(service_fn(|_| async { Ok::<_, BoxError>(()) }), 0);
    let bounded = TimeoutLayer::new(CALL).layer(full);
    assert_eq!(end(bounded.oneshot(call())).await, (Scope::Call, CALL));
}

#[tokio::test(start_paused = true)]
async fn deadline_is_that_of_the_request_or_of_an_outer_timeout() {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let deadlines = Arc::clone(&seen);
    let attempts = service_fn(move |request: Request<Payload>| {
        let left = request.body().deadline().map(|it| it - Instant::now());
        deadlines.lock().unwrap().push(left);
        ready(Err::<Response<TokenResponse>, _>(BoxError::from("seen")))
    });
    let timed = TimeoutLayer::new(CALL).layer(JsonLayer::new().layer(attempts));
    let within = TimeoutLayer::new(ATTEMPT).layer(timed.clone());
    let requests = [call(), call().timeout(Duration::MAX)];
    for request in requests {
        timed.clone().oneshot(request).await.unwrap_err();
    }
    within.oneshot(call()).await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), [Some(CALL), None, Some(ATTEMPT)]);
}

#[tokio::test]
async fn request_with_a_zero_timeout_is_refused_before_it_is_sent() {
    let silent = service_fn(|_| -> std::future::Ready<Result<(), BoxError>> {
        unreachable!("the request was sent")
    });
    let silent = TimeoutLayer::new(CALL).layer(silent);
    let request = call().timeout(Duration::ZERO);
    assert_eq!(end(silent.oneshot(request)).await.0, Scope::Call);
}

#[test]
fn call_outside_of_a_runtime_is_an_error() {
    let silent = service_fn(|_| pending::<Result<(), BoxError>>());
    let mut call = Box::pin(TimeoutLayer::new(CALL).layer(silent).oneshot(call()));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(call.as_mut().poll(cx), Poll::Ready(Err(_))));
}

/// A body with these frames that is pending once for each `None`. It ends with the last frame.
struct Frames(VecDeque<Option<&'static str>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.pop_front().expect("polled after its end was known") {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

#[test]
fn body_is_not_polled_after_its_end_is_known() {
    let mut frames = Some(Frames([Some("a"), None, Some("b")].into()));
    let exchange = service_fn(|_| ready(Ok::<_, BoxError>(Response::new(frames.take().unwrap()))));
    let mut attempt = Box::pin(CollectBodyLayer::default().layer(exchange).call(attempt()));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(attempt.as_mut().poll(cx).is_pending());
    let Poll::Ready(Ok(response)) = attempt.as_mut().poll(cx) else {
        panic!("no response");
    };
    assert_eq!(response.body(), "ab");
}

fn create(padding: usize) -> ActorTokenRequest {
    let actor = Actor::new("user_2").claim("padding", "x".repeat(padding));
    CreateActorToken::new("user_1", actor).into()
}

#[tokio::test]
async fn create_of_more_than_64_kib_is_refused() {
    const LIMIT: usize = 64 * 1024;
    let attempts = service_fn(|request: Request<Payload>| {
        let length = request.body().as_bytes().len();
        ready(Err::<Response<TokenResponse>, BoxError>(
            length.to_string().into(),
        ))
    });
    let json = JsonLayer::new().layer(attempts);
    let sent = async |padding| {
        let error = json.oneshot(create(padding)).await.unwrap_err();
        error.to_string().parse::<usize>()
    };
    let padding = LIMIT - sent(0).await.unwrap();
    assert_eq!(sent(padding).await, Ok(LIMIT));
    for excess in 1..3 {
        assert!(sent(padding + excess).await.is_err());
    }
}

#[tokio::test]
async fn unusable_200_to_a_request_that_was_not_sent_has_no_effect() {
    const UNUSABLE: &str = "{}";
    let outcome = |error: BoxError| error.downcast::<Error>().unwrap().outcome();
    let made_up = || service_fn(|_: Request<Body>| ready(Ok::<_, BoxError>(unusable())));
    fn unusable() -> Response<TokenResponse> {
        Response::new(TokenResponse::new(UNUSABLE))
    }
    let decoded = DecodeErrorLayer::new().layer(made_up());
    let revoke = Request::new(Payload::new(OperationKind::Revoke, ""));
    let error = decoded.oneshot(revoke).await.unwrap_err();
    assert_eq!(outcome(error), Outcome::NotSent);

    let stack = JsonLayer::new().layer(DecodeErrorLayer::new().layer(made_up()));
    let error = stack.oneshot(create(0)).await.unwrap_err();
    assert_eq!(outcome(error), Outcome::NotSent);

    // Without an attempt, only the response is known.
    let alone = service_fn(|_: Request<Payload>| ready(Ok::<_, BoxError>(unusable())));
    let error = JsonLayer::new().layer(alone).oneshot(create(0)).await;
    assert_eq!(outcome(error.unwrap_err()), Outcome::Unknown);
}

#[tokio::test]
async fn error_of_a_layer_below_keeps_its_status_and_outcome_after_a_part_of_a_response() {
    const REVOKED: &str = r#"{"id":"act_1","status":"revoked"}"#;
    for status in [200, 503] {
        let exchange = service_fn(move |request: Request<Body>| {
            request.into_body().into_bytes().unwrap();
            let response = Response::builder().status(status);
            ready(Ok::<_, BoxError>(
                response.body(Frames([Some(REVOKED), None].into())).unwrap(),
            ))
        });
        let collected = CollectBodyLayer::default().layer(exchange);
        let settled = SettleLayer::disabled().layer(collected);
        let impatient = service_fn(|request: Request<Body>| {
            let response = settled.clone().oneshot(request).now_or_never();
            assert!(response.is_none(), "the body has not ended");
            let errors = ClerkErrors::default();
            ready(Err::<Response<TokenResponse>, BoxError>(
                Error::refused(StatusCode::FORBIDDEN, errors).into(),
            ))
        });
        let request = Request::new(Payload::new(OperationKind::Revoke, ""));
        let error = DecodeErrorLayer::new().layer(impatient).oneshot(request);
        let error = error.await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!(
            (error.kind(), error.status(), error.outcome()),
            (
                ErrorKind::Refused,
                Some(StatusCode::FORBIDDEN),
                Outcome::NotSent
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_of_a_revoke_is_not_settled() {
    let silent = service_fn(|request: Request<Body>| {
        request.into_body().into_bytes().unwrap();
        pending::<Result<Response<Bytes>, BoxError>>()
    });
    let settled = SettleLayer::new().layer(silent);
    let timed = TimeoutLayer::new(ATTEMPT).layer(settled);
    let request = Request::new(Payload::new(OperationKind::Revoke, ""));
    let error = DecodeErrorLayer::new().layer(timed).oneshot(request);
    let error = error.await.unwrap_err().downcast::<Error>().unwrap();
    assert!(error.is_timeout() && !error.is_settling(), "{error:?}");
}

/// Returns the error of a port that refuses connections.
async fn refused() -> BoxError {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<String>();
    let request = Request::get(url).body(String::new()).unwrap();
    client.request(request).await.unwrap_err().into()
}

/// Returns the error of a connection that was closed before the request was written.
async fn canceled() -> BoxError {
    let (io, _peer) = tokio::io::duplex(64);
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    drop(connection);
    let request = Request::new(String::new());
    sender.send_request(request).await.unwrap_err().into()
}

/// Returns the error of a pool that sends nothing, because the request has no host.
async fn not_sent() -> BoxError {
    let pool = PooledTransport::new(HttpConnector::new());
    let error = pool.oneshot(Request::new(String::new())).await.unwrap_err();
    assert!(!error.is_connect() && !error.may_have_been_sent());
    error.into()
}

#[tokio::test]
async fn create_that_was_taken_may_have_had_an_effect_whatever_was_not_written() {
    for (kind, is_taken, expected) in [
        (OperationKind::Create, false, Outcome::NotSent),
        (OperationKind::Create, true, Outcome::Unknown),
        (OperationKind::Revoke, true, Outcome::NotSent),
    ] {
        for error in [refused().await, canceled().await, not_sent().await] {
            let mut error = Some(error);
            let exchange = service_fn(|request: Request<Body>| {
                if is_taken {
                    request.into_body().into_bytes().unwrap();
                }
                ready(Err::<Response<TokenResponse>, _>(error.take().unwrap()))
            });
            let mut stack = DecodeErrorLayer::new().layer(exchange);
            let request = Request::new(Payload::new(kind, "{}"));
            let error = stack.call(request).await.unwrap_err();
            let error = error.downcast::<Error>().unwrap();
            assert_eq!(error.outcome(), expected, "{kind:?} {error:?}");
        }
    }
}
