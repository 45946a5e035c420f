//! What was given up or told not to be sent is not sent any more, whatever goes on with it.

use bytes::Bytes;
use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, Error, Outcome,
    RetryConfig,
    layer::{DecodeErrorLayer, JsonLayer, RetryLayer, TimeoutLayer},
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{
    Layer, ServiceExt,
    filter::AsyncFilterLayer,
    util::{BoxCloneSyncService, MapFutureLayer, MapRequestLayer},
};

use crate::{
    AMPLE, OnceMore, SECOND, Settling, assert_returned, calls, connecting_late, create, key,
    prompt, spawned,
    support::peer::{Exchange, Pause, Peer},
    taken,
};

/// Passes on what it is given after a while.
async fn late<T>(request: T) -> Result<T, BoxError> {
    tokio::time::sleep(SECOND * 7 / 10).await;
    Ok(request)
}

type Attempts = BoxCloneSyncService<Request<Body>, Response<Full<Bytes>>, BoxError>;

/// An attempt by `service` that takes too long is made anew, and nothing more is sent of the one before.
async fn assert_sent_once(service: Attempts, peer: &Peer) {
    let told = DecodeErrorLayer::new().layer(TimeoutLayer::new(SECOND).layer(service));
    let attempts = RetryLayer::new(RetryConfig::default()).layer(told);
    let token = calls(attempts).oneshot(create()).await.unwrap();
    assert_returned(&token);
    tokio::time::sleep(AMPLE).await;
    assert_eq!(taken(peer), 1);
}

/// Nothing is sent that was told not to be, however much later.
async fn assert_told_truly(error: &Error, peer: &Peer) {
    tokio::time::sleep(AMPLE).await;
    let taken = taken(peer);
    assert!(
        error.outcome() != Outcome::NotSent || taken == 0,
        "{taken} sent: {error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_call_layer_spawned_is_not_sent_after_it_was_told_not_to_be() {
    let peer = Peer::new(|_| Exchange {
        before_taking: Pause::time(2 * SECOND),
        ..Exchange::prompt()
    });
    let client = ClientBuilder::over(key(), peer.clone())
        .call_layer(TimeoutLayer::new(SECOND))
        .call_layer(MapFutureLayer::new(spawned))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_told_truly(&error, &peer).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_spawned_retry_sends_again_is_not_sent_after_it_was_told_not_to_be() {
    let (peer, settling) = (prompt(), Settling::new());
    let settled = settling.over(connecting_late(&peer, 5 * SECOND));
    let again = OnceMore::layer(|_| true).layer(settled);
    let spawned = MapFutureLayer::new(spawned).layer(again);
    let attempts = DecodeErrorLayer::new().layer(TimeoutLayer::new(SECOND).layer(spawned));
    let error = calls(attempts).oneshot(create()).await.unwrap_err();
    assert_told_truly(&error, &peer).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_spawned_retry_sends_again_is_not_sent_after_its_attempt_was_made_anew() {
    let (peer, settling) = (prompt(), Settling::new());
    let settled = settling.over(connecting_late(&peer, 5 * SECOND));
    let again = OnceMore::layer(|_| true).layer(settled);
    let spawned = MapFutureLayer::new(spawned).layer(again);
    assert_sent_once(Attempts::new(spawned), &peer).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_spawned_retry_sends_again_is_not_sent_where_errors_are_told_twice() {
    let (peer, settling) = (prompt(), Settling::new());
    let settled = settling.over(connecting_late(&peer, SECOND / 10));
    let late = AsyncFilterLayer::new(late).layer(settled);
    let again = OnceMore::layer(|_| true).layer(late);
    let told = DecodeErrorLayer::new().layer(again);
    let spawned = MapFutureLayer::new(spawned).layer(told);
    assert_sent_once(Attempts::new(spawned), &peer).await;
}

#[tokio::test(start_paused = true)]
async fn what_no_layer_made_an_attempt_of_is_not_sent_after_it_was_told_not_to_be() {
    let peer = Peer::new(|_| Exchange {
        before_taking: Pause::time(2 * SECOND),
        ..Exchange::prompt()
    });
    let wire = peer
        .clone()
        .map_response(|answer| answer.map(|_| Full::<Bytes>::default()));
    let json = MapFutureLayer::new(spawned).layer(JsonLayer::new().layer(wire));
    let client = Client::new(TimeoutLayer::new(SECOND).layer(json));
    let error = client.send(create()).await.unwrap_err();
    assert_told_truly(&error, &peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_waits_is_not_sent_after_it_was_told_not_to_be() {
    let peer = prompt();
    let inner = ClientBuilder::over(key(), peer.clone())
        .retry(RetryConfig::disabled())
        .call_layer(MapRequestLayer::new(|request: ActorTokenRequest| {
            request.clone()
        }))
        .call_layer(MapFutureLayer::new(spawned))
        .call_layer(AsyncFilterLayer::new(late))
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
    let error = client.send(create()).await.unwrap_err();
    assert_told_truly(&error, &peer).await;
}
