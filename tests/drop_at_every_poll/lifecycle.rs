//! Results that are never received, calls that are dropped in backoff and layers that panic lose no token.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Body, Payload, Ticket, TokenResponse,
    layer::{SettleLayer, settle::SettleEnd},
};
use futures_util::poll;
use http::{Request, Response};
use tokio::sync::oneshot;
use tower::{
    Service, ServiceExt,
    util::{MapRequestLayer, MapResponseLayer},
};

use crate::{
    requests::{create, numbered, revoke, slow},
    setup::Setup,
    support::peer::{Effect, Exchange, Head, PeerBody},
};

#[tokio::test(start_paused = true)]
async fn result_that_is_never_received_is_revoked_once() {
    // The result is lost with the handle of its task, or with the receiver of a channel.
    for sent in [false, true] {
        let setup = Setup::new(&[slow(Effect::WhenTaken)]);
        let client = setup.client();
        let (sender, receiver) = oneshot::channel();
        let task = tokio::spawn(async move {
            let token = client.send(create()).await.unwrap();
            if sent {
                sender.send(token).err()
            } else {
                Some(token)
            }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(task.is_finished() && setup.reports().is_empty());
        drop((task, receiver));
        setup.check(&[], 0, "never taken").await;
        assert_eq!(setup.reports(), [SettleEnd::Revoked]);
    }
}

#[tokio::test(start_paused = true)]
async fn call_dropped_during_backoff_sends_nothing_more() {
    for operation in [create, revoke] {
        let setup = Setup::responding(SettleLayer::new(), |_| Exchange::refusal(429, Some(5)));
        let client = setup.client();
        let mut call = Box::pin(client.send(operation()));
        assert!(poll!(&mut call).is_pending());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(poll!(&mut call).is_pending());
        drop(call);
        setup.check(&[], 0, "during backoff").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let ledger = setup.peer.ledger();
        assert_eq!(ledger.creates.len() + ledger.revokes.len(), 1);
        assert!(setup.reports().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn compensating_revoke_outlives_drain_and_client() {
    let setup = Setup::new(&[]);
    let client = setup.client();
    drop(client.send(create()).await.unwrap());
    tokio::task::yield_now().await;
    {
        let mut drain = Box::pin(client.drain(Duration::from_secs(5)));
        assert!(poll!(&mut drain).is_pending());
    }
    drop(client);
    setup.check(&[], 0, "client and drain were dropped").await;
    assert_eq!(setup.reports(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn call_without_poll_ready_does_not_panic() {
    let setup = Setup::new(&[]);
    let token = setup.client().call(create()).await.unwrap();
    let mut service = setup.builder().service().unwrap();
    let other = service.call(create()).await.unwrap();
    drop((token, other));
    setup.check(&[], 0, "not polled ready").await;
}

#[tokio::test(start_paused = true)]
async fn ready_handles_that_are_never_called_block_no_call() {
    let setup = Setup::settled_by(SettleLayer::new().max_creates(1), &[]);
    let client = setup.client();
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut handle = client.clone();
        handle.ready().await.unwrap();
        idle.push(handle);
    }
    for _ in 0..3 {
        drop(client.send(create()).await.unwrap());
    }
    setup.check(&[], 0, "idle handles").await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_concurrent_calls_lose_no_token() {
    const CALLS: usize = 10_000;
    let layer = SettleLayer::new().max_creates(CALLS);
    let setup = Setup::responding(layer, |_| slow(Effect::WithHead));
    let client = setup.client();
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let client = client.clone();
            let call = async move { client.send(numbered(create(), number)).await };
            (number, tokio::spawn(call))
        })
        .collect();
    let mut claimed = Vec::new();
    for (number, call) in calls {
        match number % 3 {
            0 => call.abort(),
            1 => drop(call.await.unwrap().unwrap()),
            _ => {
                let token = call.await.unwrap().unwrap();
                token.ticket().and_then(Ticket::expose_token).unwrap();
                claimed.push(token.id().to_string());
            }
        }
    }
    setup.check(&claimed, 0, "ten thousand").await;
    // The number of concurrent revokes is limited, however many tokens are lost.
    assert!(setup.peer.ledger().most_concurrent_revokes <= 32);
}

/// Returns a function that panics the first time it is called.
fn panic_once() -> impl Fn() + Clone {
    let called = Arc::new(AtomicUsize::new(0));
    move || {
        if called.fetch_add(1, Ordering::SeqCst) == 0 {
            resume_unwind(Box::new("a layer"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn panic_in_a_user_layer_fails_its_own_call_only() {
    let unsettled = Exchange {
        head: Head::Status(503, None),
        ..slow(Effect::WhenTaken)
    };
    let responses = [slow(Effect::WhenTaken), slow(Effect::WithBody), unsettled];
    for response in responses {
        for place in ["call, before", "call, after", "wire, before", "wire, after"] {
            let setup = Setup::new(std::slice::from_ref(&response));
            setup.loses_responses.set(place == "wire, after");
            let before = panic_once();
            let after = before.clone();
            let client = match place {
                "call, before" => setup
                    .builder()
                    .call_layer(MapRequestLayer::new(move |request: ActorTokenRequest| {
                        before();
                        request
                    }))
                    .build(),
                "call, after" => setup
                    .builder()
                    .call_layer(MapResponseLayer::new(move |token: ActorToken| {
                        after();
                        token
                    }))
                    .build(),
                "attempt, before" => setup
                    .builder()
                    .attempt_layer(MapRequestLayer::new(move |request: Request<Payload>| {
                        before();
                        request
                    }))
                    .build(),
                "attempt, after" => setup
                    .builder()
                    .attempt_layer(MapResponseLayer::new(
                        move |response: Response<TokenResponse>| {
                            after();
                            response
                        },
                    ))
                    .build(),
                "wire, before" => setup
                    .builder()
                    .wire_layer(MapRequestLayer::new(move |request: Request<Body>| {
                        before();
                        request
                    }))
                    .build(),
                _ => setup
                    .builder()
                    .wire_layer(MapResponseLayer::new(
                        move |response: Response<PeerBody>| {
                            after();
                            response
                        },
                    ))
                    .build(),
            }
            .unwrap();
            let start = || {
                let client = client.clone();
                tokio::spawn(async move { client.send(create()).await })
            };
            let mut panicked = 0;
            for call in [start(), start()] {
                match call.await {
                    Ok(result) => drop(result),
                    Err(error) => panicked += usize::from(error.is_panic()),
                }
            }
            assert_eq!(panicked, 1, "{place}");
            setup.check(&[], 0, place).await;
            assert_eq!(setup.client().drain(Duration::ZERO).await.in_flight(), 0);
        }
    }
}
