//! Stacks with layers of users in every place where they can stand: layers that retry, hedge, buffer,
//! spawn, clone, keep or rewrite requests, and layers that respond themselves.

mod attempt_hedge;
mod attempt_layers;
mod attempt_retry;
mod call_layers;
mod compensating_revokes;
mod nested_clients;
mod panics;
#[path = "../support"]
mod support {
    #[expect(dead_code, reason = "only spans are read")]
    pub(crate) mod capture;
    pub(crate) mod peer;
    pub(crate) mod response;
    pub(crate) mod scripted;
}
mod wire_layers;

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Body, BoxError, ClientBuilder, CreateActorToken, Error,
    OperationKind, Outcome, RetryConfig, SecretKey, Ticket,
    client::{CustomTransport, Layers, Transport},
    layer::{
        CollectBody, CollectBodyLayer, DecodeError, DecodeErrorLayer, Json, JsonLayer, Settle,
        SettleLayer, TypedError, TypedErrorLayer, settle::SettleEnd,
    },
};
use http::{HeaderMap, Request, Response};
use tower::{
    Layer, Service, ServiceExt,
    retry::{Policy, RetryLayer},
    util::MapRequestLayer,
};

use self::support::peer::{CallNumber, Exchange, Head, Peer, PeerBody, USER};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than everything takes; the clock is paused.
const LONG: Duration = Duration::from_secs(3600);

fn key() -> SecretKey {
    SecretKey::new("sk_test_1").unwrap()
}

fn create() -> ActorTokenRequest {
    numbered(CreateActorToken::new(USER, Actor::new("user_admin")).into())
}

fn revoke() -> ActorTokenRequest {
    numbered(ActorTokenRequest::revoke("act_7".parse().unwrap()))
}

/// Adds the number that the peer expects of each call.
fn numbered(mut request: ActorTokenRequest) -> ActorTokenRequest {
    request.extensions_mut().insert(CallNumber(0));
    request
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

/// A peer that plays one exchange after the other with the creates of a call, and responds to all else
/// at once.
fn playing<const N: usize>(exchanges: [Exchange; N]) -> Peer {
    Peer::new(move |asked| match exchanges.get(asked.before) {
        Some(exchange) if asked.kind == OperationKind::Create => exchange.clone(),
        _ => Exchange::prompt(),
    })
}

/// An exchange that mints a token, but whose response does not name it.
fn failed(head: Head) -> Exchange {
    Exchange {
        head,
        length: 0,
        ..Exchange::prompt()
    }
}

/// An exchange that is slow to respond.
fn late() -> Exchange {
    Exchange {
        before_head: support::peer::Pause::time(5 * SECOND),
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

/// A builder without retries of its own.
fn without_retry<T: Transport>(transport: T) -> ClientBuilder<Layers, CustomTransport<T>> {
    ClientBuilder::over(key(), transport).retry(RetryConfig::disabled())
}

/// A service of calls over a service of single attempts, without the layers between that are optional.
fn calls<S>(attempt: S) -> TypedError<Json<DecodeError<S>>> {
    let attempts = DecodeErrorLayer::new().layer(attempt);
    TypedErrorLayer::new().layer(JsonLayer::new().layer(attempts))
}

/// A settle layer, and its reports.
struct Settling {
    layer: SettleLayer,
    reports: Arc<Mutex<Vec<Report>>>,
}

/// How a token ended, and its id if that was known.
type Report = (SettleEnd, Option<String>);

impl Settling {
    fn new() -> Self {
        let reports = Arc::<Mutex<Vec<_>>>::default();
        let hook = Arc::clone(&reports);
        let layer = SettleLayer::new().on_settle(move |event| {
            let id = event.actor_token_id().map(ToString::to_string);
            hook.lock().unwrap().push((event.end(), id));
        });
        Self { layer, reports }
    }

    fn over<T>(&self, transport: T) -> Settle<CollectBody<T>>
    where
        SettleLayer: Layer<CollectBody<T>, Service = Settle<CollectBody<T>>>,
    {
        let collected = CollectBodyLayer::default().layer(transport);
        self.layer.layer(collected)
    }

    /// Returns all reports, once nothing is left to settle.
    async fn reports(&self) -> Vec<Report> {
        assert!(self.layer.drain(LONG).await.is_complete());
        self.reports.lock().unwrap().clone()
    }
}

fn revoked(id: &str) -> Report {
    (SettleEnd::Revoked, Some(id.to_owned()))
}

const UNKNOWN: Report = (SettleEnd::Unknown, None);

/// The requests that passed one place of the wire level, in order.
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

/// Runs a call or an attempt in a task of its own.
async fn spawned<F, T>(future: F) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Send + 'static,
{
    tokio::spawn(future).await?
}

/// Passes a request on after 700 ms.
async fn delayed<T>(request: T) -> Result<T, BoxError> {
    tokio::time::sleep(SECOND * 7 / 10).await;
    Ok(request)
}

/// Retries once what failed with an error that `retries` accepts.
#[derive(Clone)]
struct OnceMore {
    left: bool,
    retries: fn(&BoxError) -> bool,
}

impl OnceMore {
    /// Retries once after any failure, even of a create that may have minted a token.
    fn always() -> RetryLayer<Self> {
        Self::after(|_| true)
    }

    fn after(retries: fn(&BoxError) -> bool) -> RetryLayer<Self> {
        let left = true;
        RetryLayer::new(Self { left, retries })
    }
}

impl<Q: Clone, T> Policy<Q, T, BoxError> for OnceMore {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, result: &mut Result<T, BoxError>) -> Option<Ready<()>> {
        let failed = result.as_ref().is_err_and(self.retries);
        (failed && std::mem::take(&mut self.left)).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
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
