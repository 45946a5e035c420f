//! Every layer keeps tower's contract, and so it composes with whatever else does.

mod support {
    pub(crate) mod answer;
    pub(crate) mod probe;
}

use std::{
    fmt::Debug,
    future::{self, pending},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, BaseUrl, Body, BoxError,
    Client, ClientBuilder, CreateActorToken, Error, KeyProvider, KeySource, OperationKind, Outcome,
    RetryConfig, SecretKey,
    client::CallService,
    layer::{
        ApiHeadersLayer, BaseUriLayer, BearerAuthLayer, CollectBodyLayer, DecodeErrorLayer,
        JsonLayer, RetryLayer, TimeoutLayer, TraceCallLayer, TraceLayer, TypedErrorLayer,
    },
};
use futures_util::poll;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use support::{answer::answer, probe::Probe};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
    retry::{Policy, RetryLayer as TowerRetryLayer},
    service_fn,
};
use tower_http::{set_header::SetRequestHeaderLayer, trace::TraceLayer as HttpTraceLayer};

type Answer = Response<Full<Bytes>>;

const TOKEN: &str = r#"{"id":"act_1","user_id":"user_subject","status":"revoked"}"#;
const MINUTE: Duration = Duration::from_secs(60);

fn key() -> SecretKey {
    SecretKey::new("sk_test_contract").unwrap()
}

fn id() -> ActorTokenId {
    "act_1".parse().unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}

fn call() -> ActorTokenRequest {
    ActorTokenRequest::create(create())
}

/// A request as it reaches the transport.
fn wire() -> Request<Body> {
    let request = Request::post("https://api.clerk.com/v1/actor_tokens");
    request
        .body(Body::new(OperationKind::Create, "{}"))
        .unwrap()
}

/// A request as it leaves the JSON layer.
fn attempt() -> Request<Body> {
    let request = Request::post("/actor_tokens");
    request
        .body(Body::new(OperationKind::Create, "{}"))
        .unwrap()
}

fn token(_: ActorTokenRequest) -> Result<ActorToken, BoxError> {
    Ok(ActorToken::new(id(), ActorTokenStatus::Revoked))
}

/// Takes the request like a transport that reads it, and answers 200.
fn answered(request: Request<Body>) -> Result<Answer, BoxError> {
    request.into_body().into_bytes().ok_or("given up")?;
    Ok(answer(200, &[], TOKEN))
}

/// Turns the first attempt of every create away.
fn busy_at_first(request: Request<Body>) -> Result<Answer, BoxError> {
    let (kind, attempt) = (request.body().kind(), request.body().attempt());
    let answered = answered(request)?;
    Ok(match (kind, attempt) {
        (OperationKind::Create, 1) => answer(429, &[("retry-after", "1")], ""),
        _ => answered,
    })
}

/// Calls the service again and again, and a clone of it while it is ready.
async fn hold<S, R>(mut service: S, request: impl Fn() -> R)
where
    S: Service<R> + Clone,
    S::Error: Debug,
{
    for _ in 0..3 {
        service.ready().await.unwrap();
        let mut clone = service.clone();
        assert!(service.call(request()).await.is_ok());
        clone.ready().await.unwrap();
        assert!(clone.call(request()).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn every_layer_calls_the_instance_that_was_ready() {
    let typed = |request| token(request).map_err(|_| unreachable!());
    hold(TraceCallLayer::new().layer(Probe::new(typed)), call).await;
    hold(TypedErrorLayer::new().layer(Probe::new(token)), call).await;
    hold(TimeoutLayer::new(MINUTE).layer(Probe::new(token)), call).await;
    hold(JsonLayer::new().layer(Probe::new(answered)), call).await;

    let retry = RetryLayer::new(RetryConfig::default());
    hold(retry.layer(Probe::new(answered)), attempt).await;
    hold(TraceLayer::new().layer(Probe::new(answered)), attempt).await;
    hold(DecodeErrorLayer::new().layer(Probe::new(answered)), attempt).await;
    hold(
        TimeoutLayer::new(MINUTE).layer(Probe::new(answered)),
        attempt,
    )
    .await;
    hold(
        CollectBodyLayer::default().layer(Probe::new(answered)),
        attempt,
    )
    .await;

    let base_uri = BaseUriLayer::new(BaseUrl::default());
    hold(base_uri.layer(Probe::new(answered)), attempt).await;
    hold(ApiHeadersLayer::default().layer(Probe::new(answered)), wire).await;
    let bearer_auth = BearerAuthLayer::new(key(), BaseUrl::default());
    hold(bearer_auth.layer(Probe::new(answered)), wire).await;
}

#[tokio::test]
async fn the_instance_that_was_ready_waits_for_the_key() {
    struct Vault;

    impl KeyProvider for Vault {
        async fn key(&self) -> Result<SecretKey, BoxError> {
            tokio::task::yield_now().await;
            Ok(key())
        }
    }

    let layer = BearerAuthLayer::new(KeySource::provider(Vault), BaseUrl::default());
    hold(layer.layer(Probe::new(answered)), wire).await;
}

#[tokio::test(start_paused = true)]
async fn retry_waits_until_it_is_ready_for_the_next_attempt() {
    let below = DecodeErrorLayer::new().layer(Probe::new(busy_at_first));
    let mut service = RetryLayer::new(RetryConfig::default()).layer(below);
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(attempt()).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn the_whole_stack_calls_what_was_ready() {
    let service = ClientBuilder::over(key(), Probe::new(busy_at_first));
    hold(service.clone().service().unwrap(), call).await;
    hold(service.build().unwrap(), call).await;
}

/// Both operations one after the other, the create with a retry, and many at once.
async fn works<S: CallService>(stack: S) {
    let client = Client::new(stack);
    let revoke = || ActorTokenRequest::revoke(id());
    assert!(client.send(call()).await.is_ok());
    assert!(client.send(revoke()).await.is_ok());
    let many = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.send(revoke()).await })
    });
    for call in many.collect::<Vec<_>>() {
        assert!(call.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn limits_and_buffers_work_at_both_levels() {
    let builder = || ClientBuilder::over(key(), Probe::new(busy_at_first));
    let one = || ConcurrencyLimitLayer::new(1);
    works(builder().call_layer(one()).service().unwrap()).await;
    works(builder().wire_layer(one()).service().unwrap()).await;

    let buffered = builder().call_layer(BufferLayer::new(4));
    works(buffered.service().unwrap()).await;
    let buffered = builder().wire_layer(BufferLayer::new(4));
    works(buffered.service().unwrap()).await;

    let all = builder()
        .call_layer(BufferLayer::new(4))
        .call_layer(one())
        .wire_layer(BufferLayer::new(4))
        .wire_layer(one());
    works(all.service().unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn load_that_is_shed_was_not_sent() {
    /// Fails a revoke while a create, which is never answered, takes the only place.
    async fn shed(client: Client) -> Error {
        let mut busy = Box::pin(client.send(call()));
        assert!(poll!(&mut busy).is_pending());
        let error = client.revoke(&id()).await.unwrap_err();
        drop(busy);
        assert!(client.revoke(&id()).await.is_ok());
        error
    }
    let transport = service_fn(|request: Request<Body>| async {
        match request.body().kind() {
            OperationKind::Create => pending().await,
            _ => answered(request),
        }
    });
    let builder = || ClientBuilder::over(key(), transport);
    let one = ConcurrencyLimitLayer::new(1);
    let shedding = LoadShedLayer::new;

    let client = builder().call_layer(shedding()).call_layer(one.clone());
    let call = shed(client.build().unwrap()).await;
    let client = builder().wire_layer(shedding()).wire_layer(one);
    let attempt = shed(client.build().unwrap()).await;
    for (error, attempts) in [(call, 0), (attempt, 3)] {
        assert_eq!(error.outcome(), Outcome::NotSent);
        assert_eq!(error.attempts(), attempts);
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.is::<tower::load_shed::error::Overloaded>());
    }
}

#[tokio::test(start_paused = true)]
async fn layers_of_tower_http_work_at_the_attempt_level() {
    let seen = |request: Request<Body>| {
        assert_eq!(request.headers()["x-signature"], "s");
        answered(request)
    };
    let name = HeaderName::from_static("x-signature");
    let signature = SetRequestHeaderLayer::overriding(name, HeaderValue::from_static("s"));
    let builder = ClientBuilder::over(key(), Probe::new(seen))
        .wire_layer(HttpTraceLayer::new_for_http())
        .wire_layer(signature);
    works(builder.service().unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_pauses_is_dropped_or_refused_holds_nobody_up() {
    let seen = Arc::new(AtomicU32::new(0));
    let probe = Probe::new({
        let seen = Arc::clone(&seen);
        move |request| {
            seen.fetch_add(1, Ordering::SeqCst);
            busy_at_first(request)
        }
    });
    let one = ConcurrencyLimitLayer::new(1);
    let builder = ClientBuilder::over(key(), probe);
    let client = builder.wire_layer(one).build().unwrap();

    let mut pausing = Box::pin(client.send(call()));
    while seen.load(Ordering::SeqCst) == 0 {
        assert!(poll!(&mut pausing).is_pending());
    }
    assert!(client.send(call()).await.is_ok());
    assert!(pausing.await.is_ok());

    let mut readied = client.clone();
    readied.ready().await.unwrap();
    drop(readied);
    assert!(client.send(call()).await.is_ok());

    let invalid = CreateActorToken::new("", Actor::new("a"));
    assert!(client.create(invalid).await.is_err());
    assert!(client.send(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_lets_go_of_what_was_readied_for_it() {
    let client = ClientBuilder::over(
        key(),
        service_fn(|request| future::ready(answered(request))),
    )
    .wire_layer(ConcurrencyLimitLayer::new(1))
    .build()
    .unwrap();
    let elsewhere: BaseUrl = "https://elsewhere.example".parse().unwrap();
    let refused = [
        ActorTokenRequest::create(CreateActorToken::new("", Actor::new("user_admin"))),
        call().base_url(elsewhere),
        call().timeout(Duration::ZERO),
        call()
            .attempt_timeout(Duration::ZERO)
            .retry(RetryConfig::disabled()),
    ];
    for request in refused {
        let shown = format!("{request:?}");
        let mut handle = client.clone();
        let error = handle
            .ready()
            .await
            .unwrap()
            .call(request)
            .await
            .unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent, "{shown}");
        // The handle is kept, and yet its readiness is free for others.
        let other = tokio::time::timeout(MINUTE, client.revoke(&id())).await;
        assert!(other.is_ok_and(|revoked| revoked.is_ok()), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_leaves_no_trace() {
    // A transport that keeps the requests it was given, and never answers.
    let kept = Arc::new(Mutex::new(Vec::new()));
    let transport = service_fn({
        let kept = Arc::clone(&kept);
        move |request: Request<Body>| {
            kept.lock().unwrap().push(request.into_body());
            pending::<Result<Answer, BoxError>>()
        }
    });
    let builder = ClientBuilder::over(key(), transport);
    let layer = ConcurrencyLimitLayer::new(1);
    let mut client = builder.wire_layer(layer).build().unwrap();

    drop(client.send(call()));
    assert!(kept.lock().unwrap().is_empty(), "it was sent unasked");
    for polls in 0..3 {
        let mut dropped = client.ready().await.unwrap().call(call());
        for _ in 0..polls {
            assert!(poll!(&mut dropped).is_pending());
        }
        drop(dropped);
        let bodies: Vec<Body> = std::mem::take(&mut kept.lock().unwrap());
        for body in bodies {
            assert!(body.into_bytes().is_none(), "it can be sent after all");
        }
    }
}

/// Tries once more.
#[derive(Clone)]
struct OnceMore(bool);

impl Policy<Request<Body>, Answer, BoxError> for OnceMore {
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Answer, BoxError>,
    ) -> Option<Self::Future> {
        let error = result.as_ref().err()?.downcast_ref::<Error>()?;
        assert_eq!(error.outcome(), Outcome::Rejected);
        std::mem::take(&mut self.0).then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn towers_own_retry_can_stand_in_place_of_ours() {
    let probe = Probe::new(busy_at_first);
    let parts = ClientBuilder::over(key(), probe.clone());
    let stack = ServiceBuilder::new()
        .layer(parts.trace_call_layer())
        .layer(TypedErrorLayer::new())
        .layer(parts.call_timeout_layer())
        .layer(JsonLayer::new())
        .layer(TowerRetryLayer::new(OnceMore(true)))
        .layer(parts.trace_layer())
        .layer(DecodeErrorLayer::new())
        .layer(parts.attempt_timeout_layer())
        .layer(parts.collect_body_layer())
        .layer(parts.base_uri_layer())
        .layer(parts.api_headers_layer())
        .layer(parts.bearer_auth_layer())
        .service(probe);
    hold(stack.clone(), call).await;
    works(stack).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_is_a_service_for_layers_above_it() {
    let silent = service_fn(|_: Request<Body>| pending::<Result<Answer, BoxError>>());
    let client = ClientBuilder::over(key(), silent).build().unwrap();
    let mut service = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .service(client);
    let error = service
        .ready()
        .await
        .unwrap()
        .call(call())
        .await
        .unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
}
