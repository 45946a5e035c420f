//! Where one layer above the other settles, a call is told of and settled as by one.

use clerk_actor_tokens::{
    ClientBuilder, Error, Outcome, RetryConfig,
    layer::{CollectBodyLayer, DecodeErrorLayer},
};
use tower::{Layer, ServiceExt};

use crate::{
    OnceMore, SECOND, Settling, Told, Transport, assert_returned, calls, create, key, prompt,
    revoked,
    support::peer::{Exchange, Pause, Peer},
    unconnected,
};

/// What a client tells that settles and reads above what settles and reads.
async fn failed(transport: Transport) -> (Error, Vec<Told>) {
    let (outer, inner) = (Settling::new(), Settling::new());
    let client = ClientBuilder::over(key(), inner.over(transport))
        .settle(outer.layer.clone())
        .retry(RetryConfig::disabled())
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    (error, [outer.told().await, inner.told().await].concat())
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_returned_is_not_revoked_for_a_second_settling_layer() {
    let peer = prompt();
    let (outer, inner) = (Settling::new(), Settling::new());
    let settled = outer.layer.layer(inner.over(peer.clone()));
    let token = calls(settled).oneshot(create()).await.unwrap();
    assert_returned(&token);
    assert_eq!((outer.told().await, inner.told().await), (vec![], vec![]));
    assert!(peer.ledger().revokes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_settling_layer_revokes_what_is_lost_once() {
    let peer = prompt();
    let (outer, inner) = (Settling::new(), Settling::new());
    let settled = outer.layer.layer(inner.over(peer.clone()));
    drop(calls(settled).oneshot(create()).await.unwrap());
    let told = [outer.told().await, inner.told().await].concat();
    assert_eq!(told, [revoked("act_0")]);
    assert_eq!(peer.ledger().revokes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_have_happened_is_told_so_and_not_settled_where_two_settle_and_read() {
    let refusing = Peer::new(|_| Exchange::refusal(422, None));
    for (transport, outcome) in [
        (Transport::new(refusing), Outcome::Rejected),
        (unconnected(), Outcome::NotSent),
    ] {
        let (error, told) = failed(transport).await;
        assert_eq!((error.outcome(), told), (outcome, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_revoked_once_where_two_settle_and_read() {
    let peer = Peer::new(|_| Exchange {
        frames: 2,
        before_frame: Pause::time(SECOND * 7 / 10),
        ..Exchange::prompt()
    });
    let (error, told) = failed(Transport::new(peer.clone())).await;
    assert_eq!(error.outcome(), Outcome::Applied);
    assert_eq!(told, [revoked("act_0")]);
    assert_eq!(peer.ledger().revokes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_found_no_connection_twice_was_not_sent_where_a_layer_above_reads_again() {
    let settling = Settling::new();
    let again = OnceMore::layer(|_| true).layer(settling.over(unconnected()));
    let read = CollectBodyLayer::default().layer(again);
    let error = calls(DecodeErrorLayer::new().layer(read)).oneshot(create());
    assert_eq!(error.await.unwrap_err().outcome(), Outcome::NotSent);
    assert_eq!(settling.told().await, []);
}
