//! Call layers that retry, hedge, buffer, spawn or clone calls.

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, Client, ClientBuilder, Outcome, layer::TimeoutLayer,
};
use tower::{
    ServiceExt,
    buffer::BufferLayer,
    filter::AsyncFilterLayer,
    layer::layer_fn,
    util::{MapFutureLayer, MapRequestLayer},
};

use crate::{
    LONG, SECOND, Settling, claim, create, delayed, is_never_sent, key, late, playing, prompt,
    revoke, revoked, sent, silent, spawned,
    support::{
        peer::{Delay, Effect, Exchange, Head, Peer},
        tower_policies::RetryOnce,
    },
    unconnected_at_first, was_not_sent, without_retry,
};

fn cloned(request: ActorTokenRequest) -> ActorTokenRequest {
    request.clone()
}

#[tokio::test(start_paused = true)]
async fn spawned_call_cannot_send_after_not_sent_was_reported() {
    let peer = Peer::new(|_| Exchange {
        before_taking: Delay::time(2 * SECOND),
        ..Exchange::prompt()
    });
    let client = ClientBuilder::over(key(), peer.clone())
        // Unlike ours, it sets no deadline, which would also prevent the send.
        .call_layer(tower::timeout::TimeoutLayer::new(SECOND))
        .call_layer(MapFutureLayer::new(spawned))
        .build()
        .unwrap();
    is_never_sent(&client, &peer).await;
}

#[tokio::test(start_paused = true)]
async fn delayed_clone_cannot_send_after_not_sent_was_reported() {
    let peer = prompt();
    let inner = without_retry(peer.clone())
        .call_layer(MapRequestLayer::new(cloned))
        .call_layer(MapFutureLayer::new(spawned))
        .call_layer(AsyncFilterLayer::new(delayed))
        .build()
        .unwrap();
    let client = Client::new(tower::service_fn(move |request: ActorTokenRequest| {
        let call = inner.clone().oneshot(request.clone());
        async move {
            let _ = tokio::time::timeout(SECOND / 2, call).await;
            (0..8).for_each(|_| drop(request.clone()));
            Err::<ActorToken, BoxError>("too late".into())
        }
    }));
    is_never_sent(&client, &peer).await;
}

#[tokio::test(start_paused = true)]
async fn call_sent_as_a_clone_has_unknown_outcome() {
    let peer = silent();
    let client = ClientBuilder::over(key(), peer.clone())
        .call_layer(TimeoutLayer::new(SECOND))
        .call_layer(MapRequestLayer::new(cloned))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), sent(&peer)), (Outcome::Unknown, 1));
}

#[tokio::test(start_paused = true)]
async fn retried_call_reports_the_attempts_of_both_tries() {
    let peer = silent();
    let client = without_retry(unconnected_at_first(&peer, 1, SECOND))
        .call_layer(TimeoutLayer::new(5 * SECOND))
        .call_layer(RetryOnce::after(was_not_sent))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), sent(&peer)), (Outcome::Unknown, 1));
    assert_eq!(error.attempts(), 2);
    assert!(error.exposed_until().is_some());
}

#[tokio::test(start_paused = true)]
async fn hedged_calls_return_one_token_and_revoke_the_other() {
    let (peer, settling) = (prompt(), Settling::new());
    let client = ClientBuilder::over(key(), peer.clone())
        .settle(settling.layer.clone())
        .call_layer(layer_fn(|call| {
            tower::service_fn(move |request: ActorTokenRequest| {
                let other = ServiceExt::oneshot(Clone::clone(&call), request.clone());
                let one = ServiceExt::oneshot(Clone::clone(&call), request);
                async { tokio::join!(one, other).0 }
            })
        }))
        .build()
        .unwrap();
    let token = client.send(create()).await.unwrap();
    claim(&token);
    assert_eq!(token.id().as_str(), "act_0");
    assert_eq!(settling.reports().await, [revoked("act_1")]);
}

#[tokio::test(start_paused = true)]
async fn buffered_call_that_is_cancelled_is_settled() {
    for (exchange, reports) in [
        (late(), vec![revoked("act_0")]),
        (
            Exchange {
                before_taking: Delay::time(5 * SECOND),
                ..Exchange::prompt()
            },
            vec![],
        ),
    ] {
        let (peer, settling) = (playing([exchange]), Settling::new());
        let client = ClientBuilder::over(key(), peer.clone())
            .settle(settling.layer.clone())
            .call_layer(BufferLayer::new(16))
            .build()
            .unwrap();
        let call = client.send(create());
        tokio::time::timeout(SECOND, call).await.unwrap_err();
        assert_eq!(settling.reports().await, reports);
        assert_eq!(sent(&peer), reports.len());
    }
}

#[tokio::test(start_paused = true)]
async fn spawned_revoke_that_may_have_been_sent_continues_after_the_timeout() {
    let peer = Peer::new(|received| match received.earlier {
        0 => Exchange {
            head: Head::Hang,
            effect: Effect::Never,
            ..Exchange::prompt()
        },
        _ => Exchange::prompt(),
    });
    let client = ClientBuilder::over(key(), peer.clone())
        .attempt_timeout(2 * SECOND)
        .call_layer(tower::timeout::TimeoutLayer::new(SECOND))
        .call_layer(MapFutureLayer::new(spawned))
        .build()
        .unwrap();
    let error = client.send(revoke()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    tokio::time::sleep(LONG).await;
    assert!(peer.ledger().is_revoked("act_7"));
}
