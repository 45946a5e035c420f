//! Attempt layers that keep or clone requests, and attempts that are begun by hand.

use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::{
    ActorTokenRequest, Body, BoxError, Client, Outcome, Payload, TokenResponse, layer::JsonLayer,
};
use http::{Request, Response};
use tower::{
    Layer, Service, ServiceExt,
    buffer::BufferLayer,
    timeout::TimeoutLayer,
    util::{AndThenLayer, MapFutureLayer, MapRequestLayer},
};

use crate::{
    LONG, SECOND, Settling, create, is_never_sent, late, playing, prompt, revoked, sent, spawned,
    support::peer::{Delay, Exchange, Peer},
    without_retry,
};

/// Requests that an attempt layer keeps, as a log may do.
type Kept = Arc<Mutex<Vec<Request<Payload>>>>;

pub(crate) fn keeping(
    kept: &Kept,
) -> MapRequestLayer<impl Fn(Request<Payload>) -> Request<Payload> + Clone + use<>> {
    let kept = Arc::clone(kept);
    MapRequestLayer::new(move |request: Request<Payload>| {
        kept.lock().unwrap().push(request.clone());
        request
    })
}

#[tokio::test(start_paused = true)]
async fn response_of_a_dropped_call_is_revoked_although_the_request_is_kept() {
    async fn slow<F: Future>(response: F) -> F::Output {
        let response = response.await;
        tokio::time::sleep(LONG).await;
        response
    }
    let (kept, settling) = (Kept::default(), Settling::new());
    let client = without_retry(prompt())
        .settle(settling.layer.clone())
        .attempt_layer(keeping(&kept))
        .attempt_layer(MapFutureLayer::new(slow))
        .build()
        .unwrap();
    let call = client.send(create());
    tokio::time::timeout(SECOND, call).await.unwrap_err();
    assert_eq!(settling.reports().await, [revoked("act_0")]);
    assert_eq!(kept.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn response_that_a_layer_rejects_is_revoked_although_its_request_holds_itself() {
    let settling = Settling::new();
    let client = without_retry(prompt())
        .settle(settling.layer.clone())
        .attempt_layer(MapRequestLayer::new(|mut request: Request<Payload>| {
            let original = request.body().clone();
            request.extensions_mut().insert(original);
            request
        }))
        .attempt_layer(AndThenLayer::new(|_: Response<TokenResponse>| {
            ready(Err::<Response<TokenResponse>, BoxError>("rejected".into()))
        }))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(settling.reports().await, [revoked("act_0")]);
}

#[tokio::test(start_paused = true)]
async fn buffered_attempt_that_is_cancelled_is_settled() {
    let settling = Settling::new();
    let client = without_retry(playing([late()]))
        .settle(settling.layer.clone())
        .attempt_layer(BufferLayer::<Request<Payload>>::new(16))
        .build()
        .unwrap();
    let call = client.send(create());
    tokio::time::timeout(SECOND, call).await.unwrap_err();
    assert_eq!(settling.reports().await, [revoked("act_0")]);
}

#[tokio::test(start_paused = true)]
async fn spawned_attempt_of_a_cancelled_call_is_settled() {
    let (peer, settling) = (playing([late()]), Settling::new());
    let client = without_retry(peer.clone())
        .settle(settling.layer.clone())
        .attempt_layer(MapFutureLayer::new(spawned))
        .build()
        .unwrap();
    let call = client.send(create());
    tokio::time::timeout(SECOND, call).await.unwrap_err();
    // The task continues, and its response is dropped.
    assert_eq!(settling.reports().await, [revoked("act_0")]);
    assert_eq!(sent(&peer), 1);
}

/// Returns a service that begins its attempts by hand, over a transport.
fn by_hand<T>(
    transport: T,
) -> impl Service<
    Request<Payload>,
    Response = Response<TokenResponse>,
    Error = BoxError,
    Future: Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static
where
    T: Service<Request<Body>, Error = BoxError, Future: Send>,
    T: Clone + Send + Sync + 'static,
{
    tower::service_fn(move |request: Request<Payload>| {
        let sent = transport
            .clone()
            .oneshot(request.map(Payload::begin_attempt));
        async move {
            sent.await?;
            Ok(Response::new(TokenResponse::new("")))
        }
    })
}

/// A transport that loses its connection once it has taken a request.
async fn lost_connection(request: Request<Body>) -> Result<(), BoxError> {
    request.into_body().into_bytes()?;
    Err("the connection was lost".into())
}

#[tokio::test(start_paused = true)]
async fn attempt_begun_by_hand_cannot_be_sent_after_not_sent_was_reported() {
    let peer = Peer::new(|_| Exchange {
        before_taking: Delay::time(2 * SECOND),
        ..Exchange::prompt()
    });
    let json = JsonLayer::new().layer(by_hand(peer.clone()));
    let spawned = MapFutureLayer::new(spawned).layer(json);
    let client = Client::new(TimeoutLayer::new(SECOND).layer(spawned));
    let error = is_never_sent(&client, &peer).await;
    assert_eq!(error.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempt_begun_by_hand_that_was_sent_has_unknown_outcome() {
    let attempts = by_hand(tower::service_fn(lost_connection));
    let client = Client::new(JsonLayer::new().layer(attempts));
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
}

#[tokio::test(start_paused = true)]
async fn attempt_of_a_cloned_request_has_unknown_outcome_however_many_clones_are_dropped() {
    let json = JsonLayer::new().layer(by_hand(tower::service_fn(lost_connection)));
    let client = Client::new(tower::service_fn(move |request: ActorTokenRequest| {
        let call = json.clone().oneshot(request.clone());
        async move {
            let result = call.await;
            (0..8).for_each(|_| drop(request.clone()));
            result
        }
    }));
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
}
