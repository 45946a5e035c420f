//! A request body is taken once, by polling it or by reading its bytes, and never after it was withdrawn.

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Body, BoxError, CreateActorToken, Error, OperationKind,
    Outcome, Payload, TokenResponse,
    layer::{DecodeErrorLayer, JsonLayer, TimeoutLayer},
};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

const BODIES: [(OperationKind, &str); 2] =
    [(OperationKind::Create, "{}"), (OperationKind::Revoke, "")];

/// Returns the outcome of an attempt whose transport fails after it used the body like this.
async fn outcome<F>(kind: OperationKind, bytes: &'static str, use_body: fn(Body) -> F) -> Outcome
where
    F: Future<Output = ()>,
{
    let transport = service_fn(|request: Request<Body>| async move {
        use_body(request.into_body()).await;
        Err::<Response<TokenResponse>, _>(BoxError::from("lost"))
    });
    let request = Request::new(Payload::new(kind, bytes));
    let attempt = DecodeErrorLayer::new().layer(transport).oneshot(request);
    attempt
        .await
        .unwrap_err()
        .downcast::<Error>()
        .unwrap()
        .outcome()
}

#[tokio::test]
async fn polling_or_reading_a_body_takes_it() {
    for (kind, bytes) in BODIES {
        let dropped = outcome(kind, bytes, |body| async { drop(body) });
        assert_eq!(dropped.await, Outcome::NotSent);
        let polled = outcome(kind, bytes, |body| async {
            let bytes = body.as_bytes().to_vec();
            assert_eq!(body.collect().await.unwrap().to_bytes(), bytes);
        });
        assert_eq!(polled.await, Outcome::Unknown);
        let read = outcome(kind, bytes, |body| async {
            body.into_bytes().unwrap();
        });
        assert_eq!(read.await, Outcome::Unknown);
    }
}

#[tokio::test]
async fn asking_an_empty_body_for_its_end_takes_it() {
    for ((kind, bytes), expected) in BODIES.into_iter().zip([Outcome::NotSent, Outcome::Unknown]) {
        let asked = outcome(kind, bytes, |body| async move {
            assert_eq!(body.is_end_stream(), body.is_empty());
        });
        assert_eq!(asked.await, expected);
    }
}

type Call = Pin<Box<dyn Future<Output = Result<ActorToken, BoxError>>>>;

/// Returns a call with a timeout of one second, and the body of its attempt in flight.
fn in_flight(request: ActorTokenRequest) -> (Call, Body) {
    let sent = Arc::new(Mutex::new(None));
    let sender = Arc::clone(&sent);
    let transport = service_fn(move |request: Request<Body>| {
        *sender.lock().unwrap() = Some(request.into_body());
        pending::<Result<Response<TokenResponse>, BoxError>>()
    });
    let stack = DecodeErrorLayer::new().layer(transport);
    let stack = JsonLayer::new().layer(stack);
    let stack = TimeoutLayer::new(Duration::from_secs(1)).layer(stack);
    let mut call = Box::pin(stack.oneshot(request));
    assert!(poll(call.as_mut()).is_pending());
    let body = sent.lock().unwrap().take().unwrap();
    (call, body)
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn body_cannot_be_taken_after_its_call_was_dropped_or_has_reached_its_deadline() {
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let create = ActorTokenRequest::create(create);
    let revoke = ActorTokenRequest::revoke("act_1".parse().unwrap());
    let takes: [fn(Body) -> bool; 3] = [
        |body| body.is_end_stream(),
        |body| body.into_bytes().is_ok(),
        |body| matches!(poll(pin!(body.collect())), Poll::Ready(Ok(_))),
    ];
    for request in [create, revoke] {
        for take in takes {
            let (call, body) = in_flight(request.clone());
            assert!(body.may_be_sent());
            drop(call);
            assert!(!body.may_be_sent());
            assert!(!take(body));

            // The process was suspended, so the call's timeout was not polled.
            let (_call, body) = in_flight(request.clone());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!take(body));
        }
    }
}

#[test]
fn attempts_of_one_payload_are_numbered_and_independent() {
    let payload = Payload::new(OperationKind::Create, "{}");
    let (first, second) = (
        payload.clone().begin_attempt(),
        payload.clone().begin_attempt(),
    );
    assert_eq!(
        (first.attempt(), second.attempt(), payload.attempts()),
        (1, 2, 2)
    );
    assert!(second.into_bytes().is_ok());
    assert!(first.into_bytes().is_ok());
}
