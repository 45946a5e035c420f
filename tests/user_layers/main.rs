//! Users' layers at every level of the stack: layers that retry, hedge, buffer, spawn, clone, keep or
//! rewrite requests, and layers that respond themselves.

mod attempt_accounting;
mod attempt_hedge;
mod attempt_layers;
mod attempt_retry;
mod call_layers;
mod compensating_revokes;
mod nested_clients;
mod panics;
#[path = "../support"]
mod support {
    pub(crate) mod capture;
    pub(crate) mod peer;
    pub(crate) mod reports;
    pub(crate) mod response;
    pub(crate) mod scripted;
    pub(crate) mod tower_policies;
}
mod wire_layers;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, Error, OperationKind,
    Outcome, RetryConfig, SecretKey, Ticket,
    client::{CustomTransport, Layers, Transport},
    layer::{
        CollectBody, CollectBodyLayer, DecodeError, DecodeErrorLayer, Json, JsonLayer, Settle,
        SettleLayer, TypedError, TypedErrorLayer, settle::SettleEnd,
    },
};
use http::{HeaderMap, Request, Response};
use tower::{Layer, Service, ServiceExt, util::MapRequestLayer};

use self::support::{
    peer::{Exchange, Head, Peer, PeerBody, create, numbered},
    reports::Reports,
};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than everything takes; the clock is paused.
const LONG: Duration = Duration::from_secs(3600);

fn key() -> SecretKey {
    SecretKey::new("sk_test_1").unwrap()
}

fn revoke() -> ActorTokenRequest {
    numbered(ActorTokenRequest::revoke("act_7".parse().unwrap()))
}

/// Makes a create that fails without being sent, and checks that it is not sent later either.
async fn is_never_sent(client: &Client, peer: &Peer) -> Error {
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    tokio::time::sleep(LONG).await;
    assert_eq!(sent(peer), 0);
    error
}

/// A peer that responds at once.
fn prompt() -> Peer {
    Peer::new(|_| Exchange::prompt())
}

/// A peer that takes each request and does not respond.
fn silent() -> Peer {
    Peer::new(|_| Exchange {
        head: Head::Hang,
        ..Exchange::prompt()
    })
}

/// A peer that responds to the creates of a call with these exchanges, one after the other, and to other
/// requests at once.
fn playing<const N: usize>(exchanges: [Exchange; N]) -> Peer {
    Peer::new(move |received| match exchanges.get(received.earlier) {
        Some(exchange) if received.kind == OperationKind::Create => exchange.clone(),
        _ => Exchange::prompt(),
    })
}

/// An exchange that mints a token without naming it.
fn failed(head: Head) -> Exchange {
    Exchange {
        head,
        length: 0,
        ..Exchange::prompt()
    }
}

fn late() -> Exchange {
    Exchange {
        before_head: support::peer::Delay::time(5 * SECOND),
        ..Exchange::prompt()
    }
}

/// Returns how many creates were sent.
fn sent(peer: &Peer) -> usize {
    peer.ledger().creates.iter().filter(|it| it.taken).count()
}

fn was_not_sent(error: &BoxError) -> bool {
    let error = error.downcast_ref::<Error>();
    error.is_some_and(|error| error.outcome() == Outcome::NotSent)
}

/// Reads the ticket of a token, which claims it.
#[track_caller]
fn claim(token: &ActorToken) {
    assert!(token.ticket().and_then(Ticket::expose_url).is_some());
}

/// Returns a builder without our retries.
fn without_retry<T: Transport>(transport: T) -> ClientBuilder<Layers, CustomTransport<T>> {
    ClientBuilder::over(key(), transport).retry(RetryConfig::disabled())
}

/// A service of calls over one of attempts, without optional layers between them.
fn calls<S>(attempt: S) -> TypedError<Json<DecodeError<S>>> {
    let attempts = DecodeErrorLayer::new().layer(attempt);
    TypedErrorLayer::new().layer(JsonLayer::new().layer(attempts))
}

/// A settle layer, and its reports.
struct Settling {
    layer: SettleLayer,
    reports: Reports,
}

/// How a token ended, and its id if that is known.
type Report = (SettleEnd, Option<String>);

impl Settling {
    fn new() -> Self {
        let reports = Reports::default();
        let layer = SettleLayer::new().on_settle(reports.hook());
        Self { layer, reports }
    }

    fn over<T>(&self, transport: T) -> Settle<CollectBody<T>>
    where
        SettleLayer: Layer<CollectBody<T>, Service = Settle<CollectBody<T>>>,
    {
        let collected = CollectBodyLayer::default().layer(transport);
        self.layer.layer(collected)
    }

    /// Drains, and returns all reports.
    async fn reports(&self) -> Vec<Report> {
        assert!(self.layer.drain(LONG).await.is_complete());
        self.reports.ends_with_ids()
    }
}

fn revoked(id: &str) -> Report {
    (SettleEnd::Revoked, Some(id.to_owned()))
}

const UNKNOWN: Report = (SettleEnd::Unknown, None);

/// The requests that passed one position at the wire level, in order.
#[derive(Clone, Default)]
struct Passed(Arc<Mutex<Vec<(OperationKind, HeaderMap)>>>);

impl Passed {
    fn layer(&self) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + use<>> {
        let Self(passed) = self.clone();
        MapRequestLayer::new(move |request: Request<Body>| {
            let seen = (request.body().kind(), request.headers().clone());
            passed.lock().unwrap().push(seen);
            request
        })
    }

    fn seen(&self) -> Vec<(OperationKind, HeaderMap)> {
        self.0.lock().unwrap().clone()
    }
}

/// Spawns a call or an attempt.
async fn spawned<F, T>(future: F) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Send + 'static,
{
    tokio::spawn(future).await?
}

/// Delays a request by 700 ms.
async fn delayed<T>(request: T) -> Result<T, BoxError> {
    tokio::time::sleep(SECOND * 7 / 10).await;
    Ok(request)
}

type Sent = Pin<Box<dyn Future<Output = Result<Response<PeerBody>, BoxError>> + Send>>;

/// A transport that finds no connection for its first `failures` requests, each after `time`.
fn unconnected_at_first(
    peer: &Peer,
    failures: u32,
    time: Duration,
) -> impl Service<Request<Body>, Response = Response<PeerBody>, Error = BoxError, Future = Sent>
+ Clone
+ Send
+ Sync
+ 'static {
    let (peer, requests) = (peer.clone(), Arc::new(AtomicU32::new(0)));
    tower::service_fn(move |request: Request<Body>| -> Sent {
        if requests.fetch_add(1, Ordering::Relaxed) >= failures {
            return Box::pin(peer.clone().oneshot(request));
        }
        Box::pin(async move {
            tokio::time::sleep(time).await;
            drop(request);
            Err("no connection".into())
        })
    })
}
