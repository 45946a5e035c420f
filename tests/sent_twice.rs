//! A layer of a user that sends a create more than once, or answers in place of the API, costs no
//! credential: what it hides is at least told as what may have happened.

mod support {
    pub(crate) mod peer;
}

use std::{
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken, Error,
    KeyProvider, KeySource, Outcome, SecretKey, Ticket,
    layer::{
        CollectBodyLayer, JsonLayer, SettleLayer, TimeoutLayer, TypedErrorLayer, settle::SettleEnd,
    },
};
use futures_util::poll;
use http::{Request, Response, StatusCode};
use support::peer::{CallNumber, Exchange, Head, Pause, Peer, PeerBody, USER};
use tower::{
    Layer, ServiceExt,
    layer::layer_fn,
    retry::{Policy, RetryLayer},
    util::AndThen,
};

const AMPLE: Duration = Duration::from_secs(600);

/// Sends once more whatever does not succeed.
#[derive(Clone)]
struct OnceMore(bool);

impl OnceMore {
    fn layer() -> RetryLayer<Self> {
        RetryLayer::new(Self(true))
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for OnceMore {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let failed = !result
            .as_ref()
            .is_ok_and(|it| it.status() == StatusCode::OK);
        (failed && std::mem::take(&mut self.0)).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

fn key() -> SecretKey {
    SecretKey::new("sk_test_1").unwrap()
}

fn create() -> ActorTokenRequest {
    let create = CreateActorToken::new(USER, Actor::new("user_admin"));
    let mut request = ActorTokenRequest::create(create);
    request.extensions_mut().insert(CallNumber(0));
    request
}

/// A peer that plays one script after the other with the creates of a call.
fn peer<const N: usize>(scripts: [Exchange; N]) -> Peer {
    Peer::new(move |asked| match scripts.get(asked.before) {
        Some(script) if asked.kind == clerk_actor_tokens::OperationKind::Create => script.clone(),
        _ => Exchange::prompt(),
    })
}

/// Minted, and nobody is told.
fn failed(head: Head) -> Exchange {
    Exchange {
        head,
        length: 0,
        ..Exchange::prompt()
    }
}

fn late() -> Exchange {
    Exchange {
        before_head: Pause::time(Duration::from_secs(5)),
        ..Exchange::prompt()
    }
}

/// Reads the ticket of what was returned.
fn returned(token: Result<clerk_actor_tokens::ActorToken, Error>) -> u64 {
    let token = token.ok();
    let link = token.as_ref().and_then(|token| token.ticket());
    u64::from(link.and_then(Ticket::expose_url).is_some())
}

/// If a credential is not returned, that one may exist is told.
async fn assert_nothing_is_lost(client: &Client, peer: &Peer, returned: u64) {
    let told = client.drain(AMPLE).await.counts().total();
    let minted = peer.ledger().minted().count() as u64;
    assert!(
        minted <= returned || told > 0,
        "{minted} minted, {told} told, {returned} returned"
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_layer_sends_twice_is_returned_or_told() {
    for (first, second, sent) in [
        (failed(Head::Fail), Exchange::prompt(), 2),
        (failed(Head::Status(503, None)), Exchange::prompt(), 2),
        // What is refused the second time is not sent a third time.
        (failed(Head::Fail), Exchange::refusal(429, None), 2),
        (failed(Head::Fail), failed(Head::Fail), 2),
    ] {
        let peer = peer([first.clone(), second.clone()]);
        let client = ClientBuilder::over(key(), peer.clone())
            .wire_layer(OnceMore::layer())
            .build()
            .unwrap();
        let answer = client.send(create()).await;
        if let Err(error) = &answer {
            assert_eq!(error.outcome(), Outcome::Unknown, "{first:?}, {second:?}");
        }
        assert_eq!(peer.ledger().creates.len(), sent, "{first:?}, {second:?}");
        assert_nothing_is_lost(&client, &peer, returned(answer)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_layer_sends_twice_after_it_was_not_sent_is_nothing_special() {
    let peer = peer([]);
    let failures = Arc::new(AtomicU32::new(0));
    let client = ClientBuilder::over(key(), peer.clone())
        .wire_layer(OnceMore::layer())
        .wire_layer(layer_fn(
            move |inner: tower::util::BoxCloneSyncService<_, _, _>| {
                let failures = Arc::clone(&failures);
                tower::service_fn(move |request: Request<Body>| {
                    let (inner, first) =
                        (inner.clone(), failures.fetch_add(1, Ordering::Relaxed) == 0);
                    async move {
                        if first {
                            return Err(BoxError::from("no connection"));
                        }
                        inner.oneshot(request).await
                    }
                })
            },
        ))
        .wire_layer(layer_fn(
            tower::util::BoxCloneSyncService::<_, Response<PeerBody>, BoxError>::new,
        ))
        .build()
        .unwrap();
    assert_eq!(returned(client.send(create()).await), 1);
    assert_eq!(client.drain(AMPLE).await.counts().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_below_settling_sends_twice_is_returned_or_told() {
    let refused = Exchange::refusal(429, None);
    for (first, second) in [
        (refused.clone(), late()),
        (failed(Head::Fail), late()),
        (refused, failed(Head::Fail)),
        (failed(Head::Fail), Exchange::prompt()),
        (failed(Head::Fail), Exchange::refusal(429, None)),
    ] {
        for is_dropped in [true, false] {
            let peer = peer([first.clone(), second.clone()]);
            let layer = SettleLayer::new();
            let settled = CollectBodyLayer::default().layer(peer.clone());
            let settled = layer.layer(OnceMore::layer().layer(settled));
            let stack = TypedErrorLayer::new().layer(JsonLayer::new().layer(settled));
            let mut call = Box::pin(stack.oneshot(create()));
            let answered = match poll!(&mut call) {
                _ if is_dropped => 0,
                std::task::Poll::Ready(answer) => returned(answer),
                std::task::Poll::Pending => returned((&mut call).await),
            };
            drop(call);
            let told = layer.drain(AMPLE).await.counts().total();
            let minted = peer.ledger().minted().count() as u64;
            assert!(
                minted <= answered || told > 0,
                "{first:?}, {second:?}: {minted} minted, {told} told"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_attempts_at_once_that_are_all_answered_the_delivered_one_lives() {
    let reports = Arc::<Mutex<Vec<_>>>::default();
    let hook = Arc::clone(&reports);
    let layer = SettleLayer::new().on_settle(move |event| {
        let id = event.actor_token_id().map(ToString::to_string);
        hook.lock().unwrap().push((event.end(), id));
    });
    let settled = CollectBodyLayer::default().layer(peer([]));
    let settled = layer.layer(settled);
    // A hedge that spawns: both are ready before anybody looks.
    let hedge = tower::service_fn(move |request: Request<Body>| {
        let (one, other) = (settled.clone(), settled.clone());
        async move {
            let other = tokio::spawn(other.oneshot(request.clone()));
            let one = tokio::spawn(one.oneshot(request));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(other.is_finished());
            one.await?
        }
    });
    let stack = TypedErrorLayer::new().layer(JsonLayer::new().layer(hedge));
    let token = stack.oneshot(create()).await.unwrap();
    assert!(token.ticket().and_then(Ticket::expose_url).is_some());
    layer.drain(AMPLE).await;
    let reports = reports.lock().unwrap();
    let [(SettleEnd::Revoked, Some(id))] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert_ne!(*id, token.id().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_refuses_what_the_api_answered_is_not_believed() {
    for status in [StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS] {
        let peer = peer([]);
        let client = ClientBuilder::over(key(), peer.clone())
            .wire_layer(layer_fn(move |inner| {
                AndThen::new(inner, move |_: Response<PeerBody>| {
                    ready(Err::<Response<PeerBody>, BoxError>(
                        Error::api(status, Default::default()).into(),
                    ))
                })
            }))
            .build()
            .unwrap();
        let error = client.send(create()).await.unwrap_err();
        assert_eq!(
            (error.status(), error.outcome()),
            (Some(status), Outcome::Unknown)
        );
        assert_eq!(peer.ledger().creates.len(), 1);
        assert_nothing_is_lost(&client, &peer, 0).await;
    }
}

#[tokio::test]
async fn a_refused_connection_says_nothing_of_the_exchange_before() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut request = Vec::new();
        while !request.ends_with(b"}}") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
    });
    let client = Client::builder(key())
        .base_url(url.parse().unwrap())
        .wire_layer(OnceMore::layer())
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    server.await.unwrap();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(
        client.drain(Duration::from_secs(60)).await.counts().unknown,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_says_nothing_of_the_exchange_after() {
    struct Vault;
    impl KeyProvider for Vault {
        async fn key(&self) -> Result<SecretKey, BoxError> {
            Ok(key())
        }
    }
    let peer = peer([
        Exchange::refusal(401, None),
        failed(Head::Status(500, None)),
    ]);
    let client = ClientBuilder::over(KeySource::provider(Vault), peer.clone())
        .wire_layer(OnceMore::layer())
        .build()
        .unwrap();
    client.send(create()).await.unwrap_err();
    assert_eq!(peer.ledger().creates.len(), 2);
    assert_nothing_is_lost(&client, &peer, 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_below_settling_gave_up_is_not_settling() {
    let client = ClientBuilder::over(key(), peer([failed(Head::Hang)]))
        .wire_layer(TimeoutLayer::new(Duration::from_secs(1)))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert!(error.is_timeout() && !error.is_settling());
    assert_eq!(client.drain(AMPLE).await.counts().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_below_settling_sends_a_third_time_is_told_though_the_first_was_not_sent() {
    let peer = peer([failed(Head::Fail), Exchange::prompt()]);
    let attempts = Arc::new(AtomicU32::new(0));
    let over = peer.clone();
    let transport = tower::service_fn(move |request: Request<Body>| {
        let (peer, first) = (over.clone(), attempts.fetch_add(1, Ordering::Relaxed) == 0);
        async move {
            if first {
                return Err(BoxError::from("no connection"));
            }
            peer.oneshot(request).await
        }
    });
    let layer = SettleLayer::new();
    let twice_more = OnceMore::layer()
        .layer(OnceMore::layer().layer(CollectBodyLayer::default().layer(transport)));
    let stack = JsonLayer::new().layer(layer.layer(twice_more));
    let answer = TypedErrorLayer::new().layer(stack).oneshot(create()).await;
    assert_eq!((returned(answer), peer.ledger().minted().count()), (1, 2));
    assert_eq!(layer.drain(AMPLE).await.counts().unknown, 1);
}
