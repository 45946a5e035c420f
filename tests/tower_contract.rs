//! Every layer keeps tower's contract: it calls the instance that it polled ready. Long, because a
//! promise has one file.

mod support {
    pub(crate) mod probe;
    pub(crate) mod response;
    pub(crate) mod tower_policies;
}

use std::{
    future::{self, pending},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, BaseUrl, Body, BoxError,
    Client, ClientBuilder, CreateActorToken, Error, KeyProvider, KeySource, OperationKind, Outcome,
    Payload, RetryConfig, SecretKey, TokenResponse,
    client::CallService,
    layer::{
        ApiHeadersLayer, BaseUriLayer, BearerAuthLayer, CollectBodyLayer, DecodeErrorLayer,
        JsonLayer, RetryLayer, SettleLayer, TimeoutLayer, TraceCallLayer, TraceLayer,
        TypedErrorLayer,
    },
};
use futures_util::{FutureExt, poll};
use http::{HeaderName, HeaderValue, Request, Response};
use support::{
    probe::{Probe, check},
    response::{FullResponse, response},
    tower_policies::RetryOnce,
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer, retry::RetryLayer as TowerRetryLayer, service_fn,
};
use tower_http::{set_header::SetRequestHeaderLayer, trace::TraceLayer as HttpTraceLayer};

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

/// Returns a request as it leaves Json.
fn encoded() -> Request<Payload> {
    let request = Request::post("/actor_tokens");
    let payload = Payload::new(OperationKind::Create, "{}");
    request.body(payload).unwrap()
}

/// Returns a request as it leaves DecodeError.
fn attempt() -> Request<Body> {
    encoded().map(Payload::begin_attempt)
}

/// Returns a request as it reaches the transport.
fn wire() -> Request<Body> {
    let mut request = attempt();
    *request.uri_mut() = "https://api.clerk.com/v1/actor_tokens".parse().unwrap();
    request
}

fn token(_: ActorTokenRequest) -> Result<ActorToken, BoxError> {
    Ok(ActorToken::new(id(), ActorTokenStatus::Revoked))
}

/// Responds with a 200 as the layers below Json do.
fn decoded(_: Request<Payload>) -> Result<Response<TokenResponse>, BoxError> {
    Ok(Response::new(TokenResponse::new(TOKEN)))
}

/// Responds with a 200 as Settle does.
fn settled(request: Request<Body>) -> Result<Response<TokenResponse>, BoxError> {
    collected(request).map(|response| response.map(TokenResponse::new))
}

/// Responds with a 200 as CollectBody does.
fn collected(request: Request<Body>) -> Result<Response<Bytes>, BoxError> {
    request.into_body().into_bytes()?;
    Ok(Response::new(Bytes::from_static(TOKEN.as_bytes())))
}

/// Takes the body as a transport does and responds with a 200.
fn sent(request: Request<Body>) -> Result<FullResponse, BoxError> {
    request.into_body().into_bytes()?;
    Ok(response(200, &[], TOKEN))
}

/// Responds with a 429 to the first attempt of every create.
fn busy_at_first(request: Request<Body>) -> Result<FullResponse, BoxError> {
    let (kind, attempt) = (request.body().kind(), request.body().attempt());
    let prompt = sent(request)?;
    Ok(match (kind, attempt) {
        (OperationKind::Create, 1) => response(429, &[("retry-after", "1")], ""),
        _ => prompt,
    })
}

#[tokio::test(start_paused = true)]
async fn layers_of_the_call_level_call_the_instance_that_was_ready() {
    let typed = |request| token(request).map_err(|_| unreachable!());
    check(TraceCallLayer::new().layer(Probe::new(typed)), call).await;
    check(TypedErrorLayer::new().layer(Probe::new(token)), call).await;
    check(TimeoutLayer::new(MINUTE).layer(Probe::new(token)), call).await;
    check(JsonLayer::new().layer(Probe::new(decoded)), call).await;
}

#[tokio::test(start_paused = true)]
async fn layers_of_the_attempt_level_call_the_instance_that_was_ready() {
    let retry = RetryLayer::new(RetryConfig::default());
    check(retry.layer(Probe::new(decoded)), encoded).await;
    check(TraceLayer::new().layer(Probe::new(decoded)), encoded).await;
    check(DecodeErrorLayer::new().layer(Probe::new(settled)), encoded).await;
    let timeout = TimeoutLayer::new(MINUTE);
    check(timeout.layer(Probe::new(settled)), attempt).await;
    for settle in [SettleLayer::new(), SettleLayer::disabled()] {
        check(settle.layer(Probe::new(collected)), attempt).await;
    }
    let collect_body = CollectBodyLayer::default();
    check(collect_body.layer(Probe::new(sent)), attempt).await;
}

#[tokio::test(start_paused = true)]
async fn layers_of_the_wire_level_call_the_instance_that_was_ready() {
    let base_uri = BaseUriLayer::new(BaseUrl::default());
    check(base_uri.layer(Probe::new(sent)), attempt).await;
    check(ApiHeadersLayer::default().layer(Probe::new(sent)), wire).await;
    let bearer_auth = BearerAuthLayer::new(key(), BaseUrl::default());
    check(bearer_auth.layer(Probe::new(sent)), wire).await;
}

#[tokio::test]
async fn instance_that_was_ready_is_called_after_waiting_for_the_key() {
    struct Provider;

    impl KeyProvider for Provider {
        async fn key(&self) -> Result<SecretKey, BoxError> {
            tokio::task::yield_now().await;
            Ok(key())
        }
    }

    let layer = BearerAuthLayer::new(KeySource::provider(Provider), BaseUrl::default());
    check(layer.layer(Probe::new(sent)), wire).await;
}

#[tokio::test]
async fn typed_error_waits_for_readiness_inside_the_call() {
    /// A service that counts its clones.
    struct Counted<S>(S, Arc<AtomicU32>);

    impl<S: Clone> Clone for Counted<S> {
        fn clone(&self) -> Self {
            self.1.fetch_add(1, Ordering::SeqCst);
            Self(self.0.clone(), Arc::clone(&self.1))
        }
    }

    impl<S: Service<R>, R> Service<R> for Counted<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, request: R) -> S::Future {
            self.0.call(request)
        }
    }

    let clones = Arc::new(AtomicU32::new(0));
    let below = service_fn(|request| future::ready(token(request)));
    let below = ConcurrencyLimitLayer::new(1).layer(below);
    let mut service = TypedErrorLayer::new().layer(Counted(below, Arc::clone(&clones)));

    // A service that is ready is called without a clone.
    let first = service.ready().await.unwrap().call(call());
    assert_eq!(clones.load(Ordering::SeqCst), 0);
    let is_ready = service.ready().now_or_never();
    let second = is_ready.expect("it waits above the call");
    let mut second = Box::pin(second.unwrap().call(call()));
    assert!(poll!(&mut second).is_pending());
    assert!(first.await.is_ok());
    assert!(second.await.is_ok());
    // Readiness reserves no place.
    let mut idle = service.clone();
    idle.ready().now_or_never().unwrap().unwrap();
    assert!(service.call(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn retry_waits_for_readiness_before_the_next_attempt() {
    let below = CollectBodyLayer::default().layer(Probe::new(busy_at_first));
    let below = DecodeErrorLayer::new().layer(SettleLayer::disabled().layer(below));
    let mut service = RetryLayer::new(RetryConfig::default()).layer(below);
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(encoded()).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn whole_stack_calls_the_instance_that_was_ready() {
    let service = ClientBuilder::over(key(), Probe::new(busy_at_first));
    check(service.clone().service().unwrap(), call).await;
    check(service.build().unwrap(), call).await;
}

/// Sends a create with a retry, a revoke, and many concurrent calls.
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
async fn limits_and_buffers_work_at_every_level() {
    let builder = || ClientBuilder::over(key(), Probe::new(busy_at_first));
    let one = || ConcurrencyLimitLayer::new(1);
    works(builder().call_layer(one()).service().unwrap()).await;
    works(builder().attempt_layer(one()).service().unwrap()).await;
    works(builder().wire_layer(one()).service().unwrap()).await;

    let buffered = builder().call_layer(BufferLayer::new(4));
    works(buffered.service().unwrap()).await;
    let buffered = builder().attempt_layer(BufferLayer::new(4));
    works(buffered.service().unwrap()).await;
    let buffered = builder().wire_layer(BufferLayer::new(4));
    works(buffered.service().unwrap()).await;

    let all = builder()
        .call_layer(BufferLayer::new(4))
        .call_layer(one())
        .attempt_layer(BufferLayer::new(4))
        .attempt_layer(one())
        .wire_layer(BufferLayer::new(4))
        .wire_layer(one());
    works(all.service().unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn call_that_load_shed_refuses_has_outcome_not_sent() {
    /// Returns the error of a revoke while a create without response holds the only permit.
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
            _ => sent(request),
        }
    });
    let builder = || ClientBuilder::over(key(), transport);
    let one = ConcurrencyLimitLayer::new(1);
    let shedding = LoadShedLayer::new;

    let client = builder().call_layer(shedding()).call_layer(one.clone());
    let call = shed(client.build().unwrap()).await;
    let client = builder()
        .attempt_layer(shedding())
        .attempt_layer(one.clone());
    let attempt = shed(client.build().unwrap()).await;
    let client = builder().wire_layer(shedding()).wire_layer(one);
    let wire = shed(client.build().unwrap()).await;
    for (error, attempts) in [(call, 0), (attempt, 0), (wire, 3)] {
        assert_eq!(error.outcome(), Outcome::NotSent);
        assert_eq!(error.attempts(), attempts);
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.is::<tower::load_shed::error::Overloaded>());
    }
}

#[tokio::test(start_paused = true)]
async fn layers_of_tower_http_work_at_the_wire_level() {
    let seen = |request: Request<Body>| {
        assert_eq!(request.headers()["x-signature"], "s");
        sent(request)
    };
    let name = HeaderName::from_static("x-signature");
    let signature = SetRequestHeaderLayer::overriding(name, HeaderValue::from_static("s"));
    let builder = ClientBuilder::over(key(), Probe::new(seen))
        .wire_layer(HttpTraceLayer::new_for_http())
        .wire_layer(signature);
    works(builder.service().unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn call_in_backoff_dropped_or_refused_blocks_no_other_call() {
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

    let mut waiting = Box::pin(client.send(call()));
    while seen.load(Ordering::SeqCst) == 0 {
        assert!(poll!(&mut waiting).is_pending());
    }
    assert!(client.send(call()).await.is_ok());
    assert!(waiting.await.is_ok());

    let mut readied = client.clone();
    readied.ready().await.unwrap();
    drop(readied);
    assert!(client.send(call()).await.is_ok());

    let invalid = CreateActorToken::new("", Actor::new("a"));
    assert!(client.create(invalid).await.is_err());
    assert!(client.send(call()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn refused_request_releases_the_reserved_readiness() {
    let client = ClientBuilder::over(key(), service_fn(|request| future::ready(sent(request))))
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
        // The handle still exists but does not hold the permit.
        let other = tokio::time::timeout(MINUTE, client.revoke(&id())).await;
        assert!(other.is_ok_and(|revoked| revoked.is_ok()), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_call_cannot_be_sent() {
    // A transport that queues requests and never responds.
    let queued = Arc::new(Mutex::new(Vec::new()));
    let transport = service_fn({
        let queued = Arc::clone(&queued);
        move |request: Request<Body>| {
            queued.lock().unwrap().push(request.into_body());
            pending::<Result<FullResponse, BoxError>>()
        }
    });
    let builder = ClientBuilder::over(key(), transport);
    let layer = ConcurrencyLimitLayer::new(1);
    let mut client = builder.wire_layer(layer).build().unwrap();

    drop(client.send(call()));
    assert!(
        queued.lock().unwrap().is_empty(),
        "the request was sent before it was polled"
    );
    for polls in 0..3 {
        let mut dropped = client.ready().await.unwrap().call(call());
        for _ in 0..polls {
            assert!(poll!(&mut dropped).is_pending());
        }
        drop(dropped);
        let bodies: Vec<Body> = std::mem::take(&mut queued.lock().unwrap());
        for body in bodies {
            assert!(body.into_bytes().is_err(), "the request can still be sent");
        }
    }
}

/// Retries once after a rejection, the only failure that is expected.
fn retry_once() -> TowerRetryLayer<RetryOnce> {
    RetryOnce::after(|error| {
        let error = error.downcast_ref::<Error>();
        error.is_some_and(|error| {
            assert_eq!(error.outcome(), Outcome::Rejected);
            true
        })
    })
}

#[tokio::test]
async fn retry_layer_of_tower_can_replace_ours() {
    let probe = Probe::new(busy_at_first);
    let parts = ClientBuilder::over(key(), probe.clone());
    let stack = ServiceBuilder::new()
        .layer(parts.trace_call_layer())
        .layer(TypedErrorLayer::new())
        .layer(parts.call_timeout_layer())
        .layer(JsonLayer::new())
        .layer(retry_once())
        .layer(parts.trace_layer())
        .layer(DecodeErrorLayer::new())
        .layer(parts.attempt_timeout_layer())
        .layer(parts.settle_layer())
        .layer(parts.collect_body_layer())
        .layer(parts.base_uri_layer())
        .layer(parts.api_headers_layer())
        .layer(parts.bearer_auth_layer())
        .service(probe);
    check(stack.clone(), call).await;
    works(stack).await;
}

#[tokio::test(start_paused = true)]
async fn client_is_a_service_for_layers_above_it() {
    let silent = service_fn(|_: Request<Body>| pending::<Result<FullResponse, BoxError>>());
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
