//! Errors tell what may have happened: what was sent is never told as not sent, whatever sent it.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use clerk_actor_tokens::{
    ActorTokenRequest, Body, BoxError, Client, ClientBuilder, Outcome, RetryConfig,
    layer::{CollectBodyLayer, DecodeErrorLayer, JsonLayer, RetryLayer, TimeoutLayer},
};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{
    Layer, Service, ServiceExt,
    util::{MapFutureLayer, MapRequestLayer},
};

use crate::{
    AMPLE, OnceMore, SECOND, Settling, assert_returned, calls, connecting_late, create, key,
    prompt, revoke, silent, spawned,
    support::peer::{Effect, Exchange, Head, Peer},
    taken, was_not_sent,
};

#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_as_a_clone_may_have_happened() {
    let peer = silent();
    let client = ClientBuilder::over(key(), peer.clone())
        .call_layer(TimeoutLayer::new(SECOND))
        .call_layer(MapRequestLayer::new(|request: ActorTokenRequest| {
            request.clone()
        }))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), taken(&peer)), (Outcome::Unknown, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_made_again_tells_of_all_that_was_made_of_it() {
    let peer = silent();
    let client = ClientBuilder::over(key(), connecting_late(&peer, SECOND))
        .retry(RetryConfig::disabled())
        .call_layer(TimeoutLayer::new(5 * SECOND))
        .call_layer(OnceMore::layer(was_not_sent))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), taken(&peer)), (Outcome::Unknown, 1));
    assert_eq!(error.attempts(), 2);
    assert!(error.exposed_until().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panicked_is_told_and_not_followed() {
    /// Makes an error of a panic.
    async fn calm<T>(call: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
        let answer = AssertUnwindSafe(call).catch_unwind().await;
        answer.unwrap_or_else(|_| Err("it panicked".into()))
    }
    let peer = Peer::new(|_| Exchange {
        head: Head::Panic,
        ..Exchange::prompt()
    });
    let client = ClientBuilder::over(key(), peer)
        .call_layer(MapFutureLayer::new(calm))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(!error.is_settling());
    assert_eq!(client.settle_counts().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_one_where_a_layer_below_buffers_answers() {
    for status in [
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::TOO_MANY_REQUESTS,
    ] {
        let peer = Peer::new(move |_| Exchange::refusal(status.as_u16(), None));
        let client = ClientBuilder::over(key(), peer)
            .wire_layer(CollectBodyLayer::default())
            .build()
            .unwrap();
        let error = client.send(create()).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.outcome(), Outcome::Rejected, "{status}");
        assert_eq!(client.drain(AMPLE).await.counts().total(), 0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_told_so_where_a_layer_below_buffers_answers() {
    let transport = tower::service_fn(async |_: Request<Body>| {
        Err::<Response<String>, BoxError>("no connection".into())
    });
    let client = ClientBuilder::over(key(), transport)
        .wire_layer(CollectBodyLayer::default())
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(client.drain(AMPLE).await.counts().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_not_sent_again_where_errors_are_told_twice() {
    let (peer, settling) = (silent(), Settling::new());
    let told = DecodeErrorLayer::new().layer(settling.over(peer.clone()));
    let again = DecodeErrorLayer::new().layer(TimeoutLayer::new(SECOND).layer(told));
    let attempts = RetryLayer::new(RetryConfig::default()).layer(again);
    let error = calls(attempts).oneshot(create()).await.unwrap_err();
    assert_eq!((error.outcome(), taken(&peer)), (Outcome::Unknown, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_told_twice_stays_one() {
    for status in [429, 422] {
        let peer = Peer::new(move |_| Exchange::refusal(status, None));
        let told = DecodeErrorLayer::new().layer(Settling::new().over(peer));
        let again = DecodeErrorLayer::new().layer(told);
        let error = calls(again).oneshot(create()).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Rejected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_found_no_connection_twice_was_not_sent_and_is_sent_again() {
    let calls_made = Arc::new(AtomicUsize::new(0));
    let (peer, made) = (prompt(), Arc::clone(&calls_made));
    let transport = tower::service_fn(move |request: Request<Body>| {
        let (peer, made) = (peer.clone(), made.fetch_add(1, Ordering::Relaxed));
        async move {
            if made % 3 == 2 {
                peer.oneshot(request).await
            } else {
                Err::<_, BoxError>("no connection".into())
            }
        }
    });
    let again = OnceMore::layer(|_| true).layer(Settling::new().over(transport));
    let told = DecodeErrorLayer::new().layer(again);
    let attempts = RetryLayer::new(RetryConfig::default()).layer(told.clone());
    assert_returned(&calls(attempts).oneshot(create()).await.unwrap());
    assert_eq!(calls_made.load(Ordering::Relaxed), 3);
    let error = calls(told).oneshot(create()).await.unwrap_err();
    assert_eq!(
        (error.outcome(), error.exposed_until()),
        (Outcome::NotSent, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_shielded_revoke_that_may_have_happened_goes_on_after_the_callers_time() {
    let peer = Peer::new(|asked| match asked.before {
        0 => Exchange {
            head: Head::Hang,
            effect: Effect::Never,
            ..Exchange::prompt()
        },
        _ => Exchange::prompt(),
    });
    let client = ClientBuilder::over(key(), peer.clone())
        .attempt_timeout(2 * SECOND)
        .call_layer(TimeoutLayer::new(SECOND))
        .call_layer(MapFutureLayer::new(spawned))
        .build()
        .unwrap();
    let error = client.send(revoke()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    tokio::time::sleep(AMPLE).await;
    assert!(peer.ledger().is_revoked("act_7"));
}

/// What breaks after it took what it is sent.
fn breaking()
-> impl Service<Request<Body>, Response = Response<Full<Bytes>>, Error = BoxError, Future: Send> + Clone
{
    tower::service_fn(async |request: Request<Body>| {
        request.into_body().into_bytes().unwrap();
        Err("the connection broke".into())
    })
}

#[tokio::test(start_paused = true)]
async fn what_a_transport_took_may_have_happened_where_no_layer_begins_attempts() {
    let client = Client::new(JsonLayer::new().layer(breaking()));
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_of_a_clone_may_have_happened_however_many_were_dropped() {
    let json = JsonLayer::new().layer(breaking());
    let client = Client::new(tower::service_fn(move |request: ActorTokenRequest| {
        let call = json.clone().oneshot(request.clone());
        async move {
            let answer = call.await;
            (0..8).for_each(|_| drop(request.clone()));
            answer
        }
    }));
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
}
