//! What stacks promise, with layers of others in any place of them: ones that spawn what they are
//! given, send it twice, clone it, keep it, or write it anew.

mod given_up;
mod nested;
mod read_twice;
mod revokes;
mod rewritten;
mod sent;
mod settled;
mod settled_twice;
#[path = "../support"]
mod support {
    pub(crate) mod answer;
    #[expect(dead_code, reason = "only spans are looked at")]
    pub(crate) mod capture;
    pub(crate) mod peer;
    pub(crate) mod scripted;
}

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, Body, BoxError, CreateActorToken, Error, OperationKind,
    Outcome, SecretKey, Ticket,
    layer::{
        CollectBody, CollectBodyLayer, Json, JsonLayer, Settle, SettleLayer, TypedError,
        TypedErrorLayer, settle::SettleEnd,
    },
};
use http::{HeaderMap, Request, Response};
use tower::{
    Layer, Service, ServiceExt,
    retry::{Policy, RetryLayer},
    util::{BoxCloneSyncService, MapRequestLayer, Oneshot},
};

use self::support::peer::{CallNumber, Exchange, Head, Peer, PeerBody, USER};

/// Longer than everything takes; the clock is paused.
const AMPLE: Duration = Duration::from_secs(3600);

const SECOND: Duration = Duration::from_secs(1);

/// An answer, where no peer is needed.
const TOKEN: &str = r#"{"id":"act_0","user_id":"user_subject","status":"pending","token":"t","url":"https://x/?ticket=t"}"#;

fn key() -> SecretKey {
    SecretKey::new("sk_test_1").unwrap()
}

fn create() -> ActorTokenRequest {
    numbered(CreateActorToken::new(USER, Actor::new("user_admin")).into())
}

fn revoke() -> ActorTokenRequest {
    numbered(ActorTokenRequest::revoke("act_7".parse().unwrap()))
}

/// A request that the peer takes.
fn numbered(mut request: ActorTokenRequest) -> ActorTokenRequest {
    request.extensions_mut().insert(CallNumber(0));
    request
}

fn prompt() -> Peer {
    Peer::new(|_| Exchange::prompt())
}

/// A peer that takes what it is sent, and says nothing.
fn silent() -> Peer {
    Peer::new(|_| Exchange {
        head: Head::Hang,
        ..Exchange::prompt()
    })
}

/// How many creates were sent.
fn taken(peer: &Peer) -> usize {
    peer.ledger().creates.iter().filter(|it| it.taken).count()
}

fn was_not_sent(error: &BoxError) -> bool {
    let error = error.downcast_ref::<Error>();
    error.is_some_and(|error| error.outcome() == Outcome::NotSent)
}

#[track_caller]
fn assert_returned(token: &ActorToken) {
    assert!(token.ticket().and_then(Ticket::expose_url).is_some());
}

/// What `attempts` are made by, as a service of calls.
fn calls<S>(attempts: S) -> TypedError<Json<S>> {
    TypedErrorLayer::new().layer(JsonLayer::new().layer(attempts))
}

/// A settle layer, and what it told.
struct Settling {
    layer: SettleLayer,
    told: Arc<Mutex<Vec<Told>>>,
}

/// How a credential ended, and its id if that was known.
type Told = (SettleEnd, Option<String>);

impl Settling {
    fn new() -> Self {
        let told = Arc::<Mutex<Vec<_>>>::default();
        let hook = Arc::clone(&told);
        let layer = SettleLayer::new().on_settle(move |event| {
            let id = event.actor_token_id().map(ToString::to_string);
            hook.lock().unwrap().push((event.end(), id));
        });
        Self { layer, told }
    }

    fn over<T>(&self, transport: T) -> Settle<CollectBody<T>>
    where
        SettleLayer: Layer<CollectBody<T>, Service = Settle<CollectBody<T>>>,
    {
        let collected = CollectBodyLayer::default().layer(transport);
        self.layer.layer(collected)
    }

    /// What was told by the time that nothing was left to settle.
    async fn told(&self) -> Vec<Told> {
        assert!(self.layer.drain(AMPLE).await.is_complete());
        self.told.lock().unwrap().clone()
    }
}

fn revoked(id: &str) -> Told {
    (SettleEnd::Revoked, Some(id.to_owned()))
}

/// What passed one place of a stack, in order.
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

/// Makes a call in a task of its own.
async fn spawned<F, T>(call: F) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Send + 'static,
{
    tokio::spawn(call).await?
}

/// Sends everything as two clones, and answers with what `both` makes of them.
fn hedged<S, F, T>(
    svc: S,
    both: F,
) -> impl Service<Request<Body>, Response = S::Response, Error = BoxError> + Clone
where
    S: Service<Request<Body>, Error = BoxError> + Clone,
    F: Fn(Oneshot<S, Request<Body>>, Oneshot<S, Request<Body>>) -> T + Clone,
    T: Future<Output = Result<S::Response, BoxError>>,
{
    tower::service_fn(move |request: Request<Body>| {
        let other = svc.clone().oneshot(request.clone());
        both(svc.clone().oneshot(request), other)
    })
}

/// Makes once more what failed in a way that it likes.
#[derive(Clone)]
struct OnceMore {
    left: bool,
    likes: fn(&BoxError) -> bool,
}

impl OnceMore {
    fn layer(likes: fn(&BoxError) -> bool) -> RetryLayer<Self> {
        RetryLayer::new(Self { left: true, likes })
    }
}

impl<Q: Clone, T> Policy<Q, T, BoxError> for OnceMore {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, result: &mut Result<T, BoxError>) -> Option<Ready<()>> {
        let failed = result.as_ref().is_err_and(self.likes);
        (failed && std::mem::take(&mut self.left)).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

type Transport = BoxCloneSyncService<Request<Body>, Response<PeerBody>, BoxError>;

/// A transport that finds no connection.
fn unconnected() -> Transport {
    let fail = async |_: Request<Body>| Err("no connection".into());
    Transport::new(tower::service_fn(fail))
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<PeerBody>, BoxError>> + Send>>;

/// A transport that finds no connection the first time, and takes `time` to find that out.
fn connecting_late(
    peer: &Peer,
    time: Duration,
) -> impl Service<Request<Body>, Response = Response<PeerBody>, Error = BoxError, Future = Answering>
+ Clone
+ Send
+ Sync
+ 'static {
    let (peer, connected) = (peer.clone(), Arc::new(AtomicBool::new(false)));
    tower::service_fn(move |request: Request<Body>| -> Answering {
        if connected.swap(true, Ordering::Relaxed) {
            return Box::pin(peer.clone().oneshot(request));
        }
        Box::pin(async move {
            tokio::time::sleep(time).await;
            drop(request);
            Err("no connection".into())
        })
    })
}
