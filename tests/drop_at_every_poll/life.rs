//! The life of a call: whatever becomes of it, of its caller, of the layers around it.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Body, Ticket,
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
    parts::{create, numbered, revoke, slow},
    scene::Scene,
    support::peer::{Effect, Exchange, Head, PeerBody},
};

#[tokio::test(start_paused = true)]
async fn a_result_that_is_there_and_never_taken_is_revoked_once() {
    // With whoever would have joined the task, and with whoever would have received it.
    for sent in [false, true] {
        let scene = Scene::new(&[slow(Effect::WhenTaken)]);
        let client = scene.client();
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
        assert!(task.is_finished() && scene.reports().is_empty());
        drop((task, receiver));
        scene.check(&[], 0, "never taken").await;
        assert_eq!(scene.reports(), [SettleEnd::Revoked]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_between_attempts_sends_nothing_more() {
    for operation in [create, revoke] {
        let scene = Scene::answering(SettleLayer::new(), |_| Exchange::refusal(429, Some(5)));
        let client = scene.client();
        let mut call = Box::pin(client.send(operation()));
        assert!(poll!(&mut call).is_pending());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(poll!(&mut call).is_pending());
        drop(call);
        scene.check(&[], 0, "in a pause").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let ledger = scene.peer.ledger();
        assert_eq!(ledger.creates.len() + ledger.revokes.len(), 1);
        assert!(scene.reports().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_compensating_revoke_outlives_everybody_who_could_wait_for_it() {
    let scene = Scene::new(&[]);
    let client = scene.client();
    drop(client.send(create()).await.unwrap());
    tokio::task::yield_now().await;
    {
        let mut drain = Box::pin(client.drain(Duration::from_secs(5)));
        assert!(poll!(&mut drain).is_pending());
    }
    drop(client);
    scene.check(&[], 0, "everybody has gone").await;
    assert_eq!(scene.reports(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn a_call_on_what_was_never_polled_ready_is_no_panic() {
    let scene = Scene::new(&[]);
    let token = scene.client().call(create()).await.unwrap();
    let mut service = scene.builder().service().unwrap();
    let other = service.call(create()).await.unwrap();
    drop((token, other));
    scene.check(&[], 0, "not polled ready").await;
}

#[tokio::test(start_paused = true)]
async fn handles_that_are_ready_and_never_called_starve_nobody() {
    let scene = Scene::settled_by(SettleLayer::new().max_creates(1), &[]);
    let client = scene.client();
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut handle = client.clone();
        handle.ready().await.unwrap();
        idle.push(handle);
    }
    for _ in 0..3 {
        drop(client.send(create()).await.unwrap());
    }
    scene.check(&[], 0, "idle handles").await;
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_calls_at_once_none_is_lost() {
    const CALLS: usize = 10_000;
    let layer = SettleLayer::new().max_creates(CALLS);
    let scene = Scene::answering(layer, |_| slow(Effect::WithHead));
    let client = scene.client();
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let client = client.clone();
            let call = async move { client.send(numbered(create(), number)).await };
            (number, tokio::spawn(call))
        })
        .collect();
    let mut kept = Vec::new();
    for (number, call) in calls {
        match number % 3 {
            0 => call.abort(),
            1 => drop(call.await.unwrap().unwrap()),
            _ => {
                let token = call.await.unwrap().unwrap();
                token.ticket().and_then(Ticket::expose_token).unwrap();
                kept.push(token.id().to_string());
            }
        }
    }
    scene.check(&kept, 0, "ten thousand").await;
    // However many are lost at once, their revokes come to the API a few at a time.
    assert!(scene.peer.ledger().most_revokes_at_once <= 32);
}

/// Panics for the first of the calls that pass, and for no other.
fn trap() -> impl Fn() + Clone {
    let passed = Arc::new(AtomicUsize::new(0));
    move || {
        if passed.fetch_add(1, Ordering::SeqCst) == 0 {
            resume_unwind(Box::new("a layer"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_layer_of_the_users_reaches_its_own_call_only() {
    let unsettled = Exchange {
        head: Head::Status(503, None),
        ..slow(Effect::WhenTaken)
    };
    let answers = [slow(Effect::WhenTaken), slow(Effect::WithBody), unsettled];
    for answer in answers {
        for place in [
            "call, before",
            "call, after",
            "attempt, before",
            "attempt, after",
        ] {
            let scene = Scene::new(std::slice::from_ref(&answer));
            scene.loses_answers.set(place == "attempt, after");
            let trap = trap();
            let spring = trap.clone();
            let client = match place {
                "call, before" => scene
                    .builder()
                    .call_layer(MapRequestLayer::new(move |request: ActorTokenRequest| {
                        trap();
                        request
                    }))
                    .build(),
                "call, after" => scene
                    .builder()
                    .call_layer(MapResponseLayer::new(move |token: ActorToken| {
                        spring();
                        token
                    }))
                    .build(),
                "attempt, before" => scene
                    .builder()
                    .wire_layer(MapRequestLayer::new(move |request: Request<Body>| {
                        trap();
                        request
                    }))
                    .build(),
                _ => scene
                    .builder()
                    .wire_layer(MapResponseLayer::new(move |answer: Response<PeerBody>| {
                        spring();
                        answer
                    }))
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
            scene.check(&[], 0, place).await;
            assert_eq!(scene.client().drain(Duration::ZERO).await.in_flight(), 0);
        }
    }
}
