//! The gate holds the attempts of a client back after a 429.

use std::{
    collections::VecDeque,
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, Body, BoxError, Client, ClientBuilder, Error, ErrorKind, OperationKind, Outcome,
    RetryConfig, SecretKey,
    client::{CustomTransport, Layers},
};
use clerk_actor_tokens_policy::{
    Gate, GateLayer, MemoryGate, StoreUnavailable,
    gate::{Pass, Scope, UNAVAILABLE},
};
use futures_util::{future::join_all, poll};
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, advance};
use tower::{Service, filter::FilterLayer, limit::ConcurrencyLimitLayer};

use crate::setup::{SECOND, call, revoke, rule, soon};

const MS: Duration = Duration::from_millis(1);
const MINTED: &str = r#"{"id":"act_1","user_id":"user_subject","status":"pending"}"#;
const REVOKED: &str = r#"{"id":"act_1","status":"revoked"}"#;

/// The API: responds with the scripted 429s to creates first, and notes when each request came.
#[derive(Clone)]
struct Api {
    begun: Instant,
    script: Arc<Mutex<VecDeque<Limited>>>,
    seen: Arc<Mutex<Vec<(OperationKind, Duration)>>>,
}

/// A 429 with this `Retry-After` in seconds, after a time.
#[derive(Clone, Copy)]
struct Limited {
    retry_after: u64,
    delay: Duration,
}

impl Api {
    fn new(script: impl IntoIterator<Item = Limited>) -> Self {
        Self {
            begun: Instant::now(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            seen: Arc::default(),
        }
    }

    /// Returns when the creates came.
    fn creates(&self) -> Vec<Duration> {
        let seen = self.seen.lock().unwrap();
        let creates = seen
            .iter()
            .filter(|(kind, _)| *kind == OperationKind::Create);
        creates.map(|(_, at)| *at).collect()
    }

    fn builder(&self) -> ClientBuilder<Layers, CustomTransport<Self>> {
        let key = SecretKey::new("sk_test_1").unwrap();
        ClientBuilder::over(key, self.clone()).retry(RetryConfig::disabled())
    }

    fn client(&self, layer: GateLayer<impl Gate>) -> Client {
        self.builder().attempt_layer(layer).build().unwrap()
    }
}

impl Service<Request<Body>> for Api {
    type Response = Response<String>;
    type Error = BoxError;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let kind = request.body().kind();
        let sent = request.into_body().into_bytes();
        self.seen.lock().unwrap().push((kind, self.begun.elapsed()));
        let limited = match kind {
            OperationKind::Create => self.script.lock().unwrap().pop_front(),
            _ => None,
        };
        Box::pin(async move {
            sent?;
            let Some(limited) = limited else {
                let body = if kind == OperationKind::Create {
                    MINTED
                } else {
                    REVOKED
                };
                return Ok(Response::new(body.to_owned()));
            };
            tokio::time::sleep(limited.delay).await;
            let response = Response::builder().status(429);
            let response = response.header("retry-after", limited.retry_after);
            Ok(response.body(String::new())?)
        })
    }
}

fn limited(retry_after: u64) -> Limited {
    let delay = Duration::ZERO;
    Limited { retry_after, delay }
}

fn layer() -> GateLayer<MemoryGate> {
    GateLayer::new(MemoryGate::new(), "account").jitter(Duration::ZERO)
}

#[track_caller]
fn assert_refused(result: Result<ActorToken, Error>, seconds: u64) {
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Refused, Outcome::NotSent)
    );
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(rule(&error), "gate");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
}

#[tokio::test(start_paused = true)]
async fn no_attempt_leaves_before_the_time_of_a_429() {
    let api = Api::new([limited(5)]);
    let client = api.client(layer());
    assert!(client.send(call()).await.unwrap_err().is_rate_limited());
    assert!(client.send(call()).await.is_ok());
    assert_eq!(api.creates()[1].as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn callers_who_wait_leave_in_slots() {
    let api = Api::new([limited(5)]);
    let client = api.client(layer().patience(60 * SECOND));
    assert!(client.send(call()).await.is_err());
    let ended = join_all((0..120).map(|_| client.send(call()))).await;
    assert!(ended.iter().all(Result::is_ok));
    let creates = api.creates();
    assert_eq!(creates.len(), 121);
    // 10 in the first second, 20 in the next one, and so on; timers round up to a millisecond.
    let in_second = |second| creates.iter().filter(|at| at.as_secs() == second).count();
    assert_eq!((in_second(5), in_second(6), in_second(7)), (10, 20, 40));
    let together = creates[1..].windows(2).filter(|pair| pair[0] == pair[1]);
    assert_eq!(together.count(), 0, "{creates:?}");
}

#[tokio::test(start_paused = true)]
async fn jitter_only_adds() {
    let api = Api::new([limited(5)]);
    let client = api.client(layer().jitter(50 * MS));
    assert!(client.send(call()).await.is_err());
    join_all((0..10).map(|_| client.send(call()))).await;
    for (number, at) in (0..).zip(&api.creates()[1..]) {
        let slot = 5 * SECOND + number * 100 * MS;
        assert!(
            (slot..=slot + 51 * MS).contains(at),
            "{at:?} is not in slot {number}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn short_patience_is_refused_at_once_and_not_retried() {
    let api = Api::new([limited(30)]);
    let layer = layer();
    let first = api.client(layer.clone());
    assert!(first.send(call()).await.is_err());

    let retrying = api.builder().retry(RetryConfig::default());
    let client = retrying.attempt_layer(layer).build().unwrap();
    let begun = Instant::now();
    assert_refused(client.send(call()).await, 30);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(api.creates().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn deadline_of_the_call_bounds_the_patience() {
    let api = Api::new([limited(5)]);
    let client = api.client(layer());
    assert!(client.send(call()).await.is_err());
    let begun = Instant::now();
    let refused = client.send(call().timeout(4 * SECOND)).await;
    assert_refused(refused, 5);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(client.send(call().timeout(6 * SECOND)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn retry_of_the_attempt_that_met_the_429_passes_the_gate_too() {
    let api = Api::new([limited(2), limited(2)]);
    let client = api
        .builder()
        .retry(RetryConfig::default())
        .attempt_layer(layer());
    let client = client.build().unwrap();
    assert!(client.send(call()).await.is_ok());
    let seconds: Vec<_> = api.creates().iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [0, 2, 4]);
}

#[tokio::test(start_paused = true)]
async fn revokes_are_not_held_back_by_the_429_of_a_create() {
    let api = Api::new([limited(60)]);
    let client = api.client(layer());
    assert!(client.send(call()).await.is_err());
    let begun = Instant::now();
    assert!(client.send(revoke()).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn late_429_moves_the_time_of_those_who_wait() {
    let late = Limited {
        retry_after: 5,
        delay: SECOND,
    };
    let api = Api::new([late, limited(2)]);
    let client = api.client(layer());
    let (slow, fast) = (client.send(call()), client.send(call()));
    let waiting = async {
        tokio::time::sleep(10 * MS).await;
        client.send(call()).await
    };
    let (slow, fast, waiting) = tokio::join!(slow, fast, waiting);
    assert!(slow.is_err() && fast.is_err() && waiting.is_ok());
    // Its first slot was at two seconds; the late 429 closes the gate until six.
    assert_eq!(api.creates()[2].as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn many_429s_of_one_burst_raise_the_level_once() {
    let late = Limited {
        retry_after: 1,
        delay: MS,
    };
    let api = Api::new([late; 50]);
    let client = api.client(layer());
    let burst = join_all((0..50).map(|_| client.send(call()))).await;
    assert!(burst.iter().all(Result::is_err));
    join_all((0..10).map(|_| client.send(call()))).await;
    let creates = &api.creates()[50..];
    assert!(
        creates[9] - creates[0] < SECOND,
        "the level was raised: {creates:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn dropped_waiter_sends_nothing() {
    let api = Api::new([limited(5)]);
    let client = api.client(layer());
    assert!(client.send(call()).await.is_err());
    let mut waiting = Box::pin(client.send(call()));
    assert!(poll!(&mut waiting).is_pending());
    drop(waiting);
    advance(60 * SECOND).await;
    assert_eq!(api.creates().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_attempt_holds_no_permit_of_the_layers_below() {
    let api = Api::new([limited(5)]);
    let builder = api.builder().attempt_layer(layer());
    let client = builder
        .attempt_layer(ConcurrencyLimitLayer::new(1))
        .build()
        .unwrap();
    assert!(client.send(call()).await.is_err());
    let mut waiting = Box::pin(client.send(call()));
    assert!(poll!(&mut waiting).is_pending());
    let begun = Instant::now();
    assert!(soon(client.send(revoke())).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(waiting.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn attempt_that_waits_for_readiness_while_the_gate_closes_asks_again() {
    let slow = Limited {
        retry_after: 5,
        delay: 5 * SECOND,
    };
    let api = Api::new([limited(1), slow]);
    let builder = api.builder().attempt_layer(layer().patience(60 * SECOND));
    let limit = ConcurrencyLimitLayer::new(1);
    let client = builder.attempt_layer(limit).build().unwrap();
    assert!(client.send(call()).await.is_err());
    // The second one gets its slot at 1.1 s and the permit at 6 s, when the first one closes the gate.
    let (first, second) = tokio::join!(client.send(call()), client.send(call()));
    assert!(first.is_err() && second.is_ok());
    let seconds: Vec<_> = api.creates().iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [0, 1, 11]);
}

#[tokio::test(start_paused = true)]
async fn made_up_429_of_a_wire_layer_does_not_close_the_gate() {
    let full = |_: Request<Body>| {
        let error = Error::api(StatusCode::TOO_MANY_REQUESTS, Default::default());
        Err::<Request<Body>, BoxError>(error.with_outcome(Outcome::NotSent).into())
    };
    let api = Api::new([]);
    let layer = layer();
    let shed = api
        .builder()
        .attempt_layer(layer.clone())
        .wire_layer(FilterLayer::new(full));
    assert!(
        shed.build()
            .unwrap()
            .send(call())
            .await
            .unwrap_err()
            .is_rate_limited()
    );
    let begun = Instant::now();
    assert!(api.client(layer).send(call()).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// A gate of which nothing is known.
struct Down;

impl Gate for Down {
    fn pass(
        &self,
        _: &Scope,
        _: Duration,
    ) -> impl Future<Output = Result<Pass, StoreUnavailable>> + Send {
        ready(Err(StoreUnavailable::new("connection refused")))
    }

    fn epoch(&self, _: &Scope) -> u64 {
        0
    }

    fn close(&self, _: &Scope, _: u64, _: Option<Duration>) {}
}

#[tokio::test(start_paused = true)]
async fn unknown_gate_refuses_creates_and_not_revokes() {
    let api = Api::new([]);
    let client = api.client(GateLayer::new(Down, "account"));
    let error = client.send(call()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Refused, Outcome::NotSent)
    );
    assert_eq!((error.code(), rule(&error)), (Some(UNAVAILABLE), "store"));
    assert!(client.send(revoke()).await.is_ok());
    assert!(api.creates().is_empty());
}
