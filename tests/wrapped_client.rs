//! A client wrapped in a layer drains, counts and settles like the inner one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, BoxError, Client, ClientBuilder, CreateActorToken, Error, ErrorKind,
    Outcome, RetryConfig,
    layer::settle::SettleEnd,
    sandbox::{Fault, Sandbox},
};
use tower::{
    filter::FilterLayer,
    limit::ConcurrencyLimitLayer,
    timeout::TimeoutLayer,
    util::{MapErrLayer, MapRequestLayer},
};

const LIMIT: Duration = Duration::from_secs(600);

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

fn client(sandbox: &Sandbox) -> Client {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::disabled())
        .build()
        .unwrap()
}

fn live(sandbox: &Sandbox) -> usize {
    sandbox.ledger().pending().count()
}

#[tokio::test(start_paused = true)]
async fn drain_of_a_wrapped_client_waits_for_a_lost_token() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox).wrap(ConcurrencyLimitLayer::new(1));
    let unread = client.create(create()).await.unwrap();
    sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    drop(unread);
    assert_eq!(live(&sandbox), 1);
    let report = client.drain(LIMIT).await;
    assert!(report.is_complete());
    assert_eq!((report.counts().revoked, live(&sandbox)), (1, 0));
    assert_eq!(client.settle_counts(), report.counts());
}

#[tokio::test(start_paused = true)]
async fn create_cancelled_by_the_layer_of_a_wrapped_client_is_settled() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox).wrap(TimeoutLayer::new(Duration::from_secs(1)));
    sandbox.inject(Fault::DelayAfter(Duration::from_secs(5)));
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.is_settling());
    assert_eq!(client.drain(LIMIT).await.counts().revoked, 1);
    assert_eq!(live(&sandbox), 0);
}

#[tokio::test(start_paused = true)]
async fn drain_of_a_wrapped_client_counts_a_token_that_is_not_revoked() {
    let sandbox = Sandbox::new();
    let client = client(&sandbox).wrap(ConcurrencyLimitLayer::new(1));
    let unread = client.create(create()).await.unwrap();
    sandbox.inject(Fault::HangBefore);
    drop(unread);
    let report = client.drain(Duration::from_secs(1)).await;
    assert_eq!(
        (report.is_complete(), report.counts().not_revoked),
        (false, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn lease_of_a_wrapped_client_is_settled_below_its_layer() {
    let (sandbox, ends) = (Sandbox::new(), Arc::new(Mutex::new(Vec::new())));
    let (calls, noted) = (Arc::new(AtomicU32::new(0)), Arc::clone(&ends));
    let counted = Arc::clone(&calls);
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .on_settle(move |event| noted.lock().unwrap().push(event.end()))
        .build()
        .unwrap()
        .wrap(MapRequestLayer::new(move |request: ActorTokenRequest| {
            counted.fetch_add(1, SeqCst);
            request
        }));
    drop(client.lease(create()).await.unwrap());
    assert!(client.drain(LIMIT).await.is_complete());
    assert_eq!(*ends.lock().unwrap(), [SettleEnd::Revoked]);
    assert_eq!((calls.load(SeqCst), live(&sandbox)), (1, 0));

    let lease = client.lease(create()).await.unwrap();
    lease.revoke().await.unwrap();
    assert_eq!((calls.load(SeqCst), live(&sandbox)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn layers_of_a_wrapped_client_run_outside_in_and_may_refuse() {
    let (sandbox, seen) = (Sandbox::new(), Arc::new(Mutex::new(Vec::new())));
    let recording = |name: &'static str| {
        let seen = Arc::clone(&seen);
        MapRequestLayer::new(move |request: ActorTokenRequest| {
            seen.lock().unwrap().push(name);
            request
        })
    };
    let client = client(&sandbox)
        .wrap(recording("inner"))
        // A layer around a client receives the typed error.
        .wrap(MapErrLayer::new(|error: Error| error))
        .wrap(FilterLayer::new(|request: ActorTokenRequest| {
            match request.headers().contains_key("x-refused") {
                true => Err(BoxError::from("refused")),
                false => Ok(request),
            }
        }))
        .wrap(recording("outer"));
    let token = client.create(create()).await.unwrap();
    token.ticket().unwrap().claim();
    assert_eq!(*seen.lock().unwrap(), ["outer", "inner"]);

    let mut refused = ActorTokenRequest::create(create());
    refused
        .headers_mut()
        .insert("x-refused", "1".parse().unwrap());
    let error = client.send(refused).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Foreign, Outcome::NotSent)
    );
    assert_eq!(sandbox.requests(), 1);
}
