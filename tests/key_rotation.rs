//! Key rotation: the next attempt uses the new key, concurrent calls ask the provider once, and a 401 of the
//! old key is retried once.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use clerk_actor_tokens::{
    Actor, Body, BoxError, Client, ClientBuilder, CreateActorToken, ErrorKind, KeyProvider,
    KeySource, Outcome, RetryConfig, RotatingKey, SecretKey,
};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::sync::Semaphore;
use tower::{service_fn, util::MapResponseLayer};

/// A transport that accepts one key and records every key that it receives.
#[derive(Clone)]
struct Api {
    accepted: &'static str,
    received: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn accepting(accepted: &'static str) -> Self {
        Self {
            accepted,
            received: Arc::default(),
        }
    }

    fn client(&self, keys: impl Into<KeySource>, retry: RetryConfig) -> Client {
        let api = self.clone();
        let transport = service_fn(move |request: Request<Body>| {
            let response = api.respond(request);
            async move { Ok::<_, BoxError>(response) }
        });
        ClientBuilder::over(keys, transport)
            .retry(retry)
            .build()
            .unwrap()
    }

    fn respond(&self, request: Request<Body>) -> Response<String> {
        let received = request.headers()[AUTHORIZATION]
            .to_str()
            .unwrap()
            .to_owned();
        let _taken = request.into_body().into_bytes();
        let accepted = received == self.accepted;
        self.received.lock().unwrap().push(received);
        if accepted {
            return Response::new(r#"{"id":"act_1","user_id":"user_1","status":"pending"}"#.into());
        }
        let mut refusal = Response::new(r#"{"errors":[{"code":"clerk_key_invalid"}]}"#.into());
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        refusal
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

fn key(text: &str) -> SecretKey {
    SecretKey::new(text).unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

/// A provider of the keys `sk_1`, `sk_2`, … that fails once it has no more.
#[derive(Clone)]
struct Provider {
    calls: Arc<AtomicU32>,
    keys: u32,
}

impl Provider {
    fn of_keys(keys: u32) -> Self {
        Self {
            calls: Arc::default(),
            keys,
        }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl KeyProvider for Provider {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::task::yield_now().await;
        if number > self.keys {
            return Err("no key is left".into());
        }
        Ok(key(&format!("sk_{number}")))
    }
}

#[tokio::test]
async fn rotated_key_is_used_by_the_next_call() {
    let api = Api::accepting("Bearer sk_2");
    let rotating = RotatingKey::new(key("sk_1"));
    let client = api.client(rotating.clone(), RetryConfig::default());
    rotating.replace(key("sk_2"));
    client.create(create()).await.unwrap();
    assert_eq!(api.received(), ["Bearer sk_2"]);
}

#[tokio::test]
async fn key_that_did_not_change_is_not_retried_after_a_401() {
    let api = Api::accepting("Bearer sk_2");
    let client = api.client(key("sk_1"), RetryConfig::default());
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(
        (error.status(), error.attempts()),
        (Some(StatusCode::UNAUTHORIZED), 1)
    );
    let rotating = api.client(RotatingKey::new(key("sk_1")), RetryConfig::default());
    assert_eq!(rotating.create(create()).await.unwrap_err().attempts(), 1);
}

#[tokio::test]
async fn concurrent_calls_ask_the_provider_once() {
    let api = Api::accepting("Bearer sk_1");
    let provider = Provider::of_keys(9);
    let client = api.client(
        KeySource::provider(provider.clone()),
        RetryConfig::default(),
    );
    let calls = (0..50).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.create(create()).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn call_dropped_while_it_reads_the_key_does_not_block_others() {
    let api = Api::accepting("Bearer sk_2");
    let provider = Provider::of_keys(9);
    let client = api.client(
        KeySource::provider(provider.clone()),
        RetryConfig::default(),
    );
    let mut dropped = Box::pin(client.create(create()));
    assert!(futures_util::poll!(&mut dropped).is_pending());
    drop(dropped);
    client.create(create()).await.unwrap();
    assert_eq!((provider.calls(), api.received().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn late_refusal_of_the_old_key_does_not_drop_the_new_one() {
    let api = Api::accepting("Bearer sk_2");
    let provider = Provider::of_keys(9);
    let late = Arc::new(Semaphore::new(0));
    let transport = service_fn({
        let (api, late) = (api.clone(), Arc::clone(&late));
        move |request: Request<Body>| {
            let response = api.respond(request);
            let is_late = api.received().len() == 1;
            let late = Arc::clone(&late);
            async move {
                if is_late {
                    late.acquire().await?.forget();
                }
                Ok::<_, BoxError>(response)
            }
        }
    });
    let client = ClientBuilder::over(KeySource::provider(provider.clone()), transport).build();
    let client = client.unwrap();
    let mut first = Box::pin(client.create(create()));
    while api.received().is_empty() {
        assert!(futures_util::poll!(&mut first).is_pending());
    }
    client.create(create()).await.unwrap();
    late.add_permits(1);
    first.await.unwrap();
    let [old, new] = ["Bearer sk_1", "Bearer sk_2"];
    assert_eq!(api.received(), [old, old, new, new]);
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn call_after_401_asks_the_provider_again_and_is_retried_once() {
    let api = Api::accepting("Bearer sk_2");
    let provider = Provider::of_keys(9);
    let client = api.client(
        KeySource::provider(provider.clone()),
        RetryConfig::default(),
    );
    client.create(create()).await.unwrap();
    assert_eq!(api.received(), ["Bearer sk_1", "Bearer sk_2"]);

    let refusing = Api::accepting("Bearer sk_0");
    let client = refusing.client(
        KeySource::provider(Provider::of_keys(9)),
        RetryConfig::default(),
    );
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.outcome()),
        (Some("clerk_key_invalid"), Outcome::Rejected)
    );
    assert_eq!(refusing.received().len(), 2);
}

#[tokio::test]
async fn stale_key_mark_of_an_earlier_exchange_does_not_repeat_a_call() {
    let keys = RotatingKey::new(key("sk_1"));
    let earlier = Arc::new(Mutex::new(http::Extensions::new()));
    let transport = service_fn({
        let (keys, earlier) = (keys.clone(), Arc::clone(&earlier));
        move |request: Request<Body>| {
            let _taken = request.into_body().into_bytes();
            keys.replace(key("sk_2"));
            let mut refusal = Response::new(String::new());
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            *refusal.extensions_mut() = earlier.lock().unwrap().clone();
            async move { Ok::<_, BoxError>(refusal) }
        }
    });
    let kept = Arc::clone(&earlier);
    let client = ClientBuilder::over(keys, transport)
        .wire_layer(MapResponseLayer::new(move |response: Response<String>| {
            kept.lock().unwrap().extend(response.extensions().clone());
            response
        }))
        .build()
        .unwrap();
    // The first call replaces the key, so it is repeated once.
    assert_eq!(client.create(create()).await.unwrap_err().attempts(), 2);
    assert!(!earlier.lock().unwrap().is_empty());
    assert_eq!(client.create(create()).await.unwrap_err().attempts(), 1);
    assert_eq!(client.revoke("act_1").await.unwrap_err().attempts(), 1);
}

#[tokio::test]
async fn failing_provider_ends_the_call_before_it_is_sent() {
    let api = Api::accepting("Bearer sk_1");
    let provider = Provider::of_keys(0);
    let client = api.client(
        KeySource::provider(provider.clone()),
        RetryConfig::default(),
    );
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Key, Outcome::NotSent)
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "no key is left");
    assert_eq!((provider.calls(), api.received().len()), (1, 0));
}

#[tokio::test]
async fn key_sources_do_not_show_their_keys() {
    let sources = [
        KeySource::from(key("sk_marker")),
        RotatingKey::new(key("sk_marker")).into(),
        KeySource::provider(Provider::of_keys(1)),
    ];
    for source in sources {
        assert!(!format!("{source:?} {source:#?}").contains("marker"));
    }
    assert!(!format!("{:?}", RotatingKey::new(key("sk_marker"))).contains("marker"));
}
