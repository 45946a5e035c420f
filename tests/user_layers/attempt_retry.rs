//! Attempt layers that retry with a user's policy.

use std::task::Poll;

use clerk_actor_tokens::{
    ActorTokenId, BoxError, Client, ClientBuilder, KeyProvider, KeySource, Outcome, SecretKey,
};
use futures_util::poll;
use tokio::{io::AsyncReadExt, net::TcpListener};
use tower::{timeout::TimeoutLayer, util::MapFutureLayer};

use crate::{
    LONG, SECOND, Settling, UNKNOWN, claim, create, failed, is_never_sent, key, late, playing,
    prompt, revoke, revoked, sent, spawned,
    support::{
        peer::{Delay, End, Exchange, Head, Peer},
        tower_policies::RetryOnce,
    },
    unconnected_at_first, without_retry,
};

#[tokio::test(start_paused = true)]
async fn retried_create_is_returned_revoked_or_reported() {
    let refused = Exchange::refusal(429, None);
    let unavailable = failed(Head::Status(503, None));
    for (first, second) in [
        (failed(Head::Fail), Exchange::prompt()),
        (unavailable, Exchange::prompt()),
        // The second refusal is not retried, because the first attempt may have minted a token.
        (failed(Head::Fail), refused.clone()),
        (failed(Head::Fail), failed(Head::Fail)),
        (failed(Head::Fail), late()),
        (refused.clone(), late()),
        (refused, failed(Head::Fail)),
    ] {
        for is_dropped in [true, false] {
            let case = format!("{first:?}, {second:?}, dropped: {is_dropped}");
            let (peer, settling) = (playing([first.clone(), second.clone()]), Settling::new());
            let client = ClientBuilder::over(key(), peer.clone())
                .settle(settling.layer.clone())
                .attempt_layer(RetryOnce::always())
                .build()
                .unwrap();
            let mut call = Box::pin(client.send(create()));
            let result = match poll!(&mut call) {
                Poll::Pending if is_dropped => None,
                Poll::Pending => Some(call.as_mut().await),
                Poll::Ready(result) => Some(result),
            };
            drop(call);
            let token = result.as_ref().and_then(|result| result.as_ref().ok());
            token.into_iter().for_each(claim);
            if let Some(Err(error)) = &result {
                assert_eq!(error.outcome(), Outcome::Unknown, "{case}");
                assert_eq!(error.attempts(), 2, "{case}");
            }
            assert_eq!(peer.ledger().creates.len(), 2, "{case}");
            let returned = token.iter().count();
            let reports = settling.reports().await.len();
            let minted = peer.ledger().minted().count();
            assert_eq!(minted, returned + reports, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn create_is_retried_after_two_attempts_without_connection() {
    let peer = prompt();
    let client = ClientBuilder::over(key(), unconnected_at_first(&peer, 2, SECOND))
        .attempt_layer(RetryOnce::always())
        .build()
        .unwrap();
    claim(&client.send(create()).await.unwrap());
    assert_eq!(sent(&peer), 1);
    assert_eq!(client.drain(LONG).await.counts().total(), 0);

    let client = without_retry(unconnected_at_first(&peer, 2, SECOND))
        .attempt_layer(RetryOnce::always())
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotSent, 2));
    assert_eq!(error.exposed_until(), None);
    assert_eq!(client.drain(LONG).await.counts().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn create_that_failed_between_two_others_is_reported() {
    let (peer, settling) = (playing([failed(Head::Fail)]), Settling::new());
    let client = without_retry(unconnected_at_first(&peer, 1, SECOND))
        .settle(settling.layer.clone())
        .attempt_layer(RetryOnce::always())
        .attempt_layer(RetryOnce::always())
        .build()
        .unwrap();
    claim(&client.send(create()).await.unwrap());
    assert_eq!(peer.ledger().minted().count(), 2);
    assert_eq!(settling.reports().await, [UNKNOWN]);
}

#[tokio::test(start_paused = true)]
async fn spawned_retry_cannot_send_after_not_sent_was_reported() {
    let peer = prompt();
    let client = without_retry(unconnected_at_first(&peer, 1, 5 * SECOND))
        .call_layer(TimeoutLayer::new(SECOND))
        .attempt_layer(MapFutureLayer::new(spawned))
        .attempt_layer(RetryOnce::always())
        .build()
        .unwrap();
    is_never_sent(&client, &peer).await;
}

#[tokio::test(start_paused = true)]
async fn retried_attempt_does_not_mix_its_bytes_with_those_of_the_previous_one() {
    for (request, reports) in [
        (create(), vec![revoked("act_0")]),
        // A revoke is not settled.
        (revoke(), vec![]),
    ] {
        let settling = Settling::new();
        let peer = Peer::new(|received| Exchange {
            frames: 2,
            before_frame: match received.earlier {
                0 => Delay::time(SECOND * 7 / 10),
                _ => Delay::default(),
            },
            ..Exchange::prompt()
        });
        let client = without_retry(peer)
            .attempt_timeout(SECOND)
            .settle(settling.layer.clone())
            .attempt_layer(RetryOnce::always())
            .build()
            .unwrap();
        let token = client.send(request).await.unwrap();
        if token.ticket().is_some() {
            claim(&token);
        }
        assert_eq!(settling.reports().await, reports);
    }
}

#[tokio::test(start_paused = true)]
async fn token_whose_id_was_read_is_revoked_after_an_earlier_attempt_was_refused() {
    let unfinished = Exchange {
        end: End::Hang,
        ..Exchange::prompt()
    };
    let (peer, settling) = (
        playing([Exchange::refusal(429, None), unfinished]),
        Settling::new(),
    );
    let client = without_retry(peer.clone())
        .attempt_timeout(SECOND)
        .settle(settling.layer.clone())
        .attempt_layer(RetryOnce::always())
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Applied, 2));
    assert_eq!(
        error.actor_token_id().map(ActorTokenId::as_str),
        Some("act_1")
    );
    assert_eq!(settling.reports().await, [revoked("act_1")]);
    assert!(peer.ledger().is_revoked("act_1"));
}

#[tokio::test]
async fn refused_connection_does_not_hide_an_earlier_attempt_that_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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
        .base_url(url)
        .attempt_layer(RetryOnce::always())
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    server.await.unwrap();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2));
    assert_eq!(client.drain(60 * SECOND).await.counts().unknown, 1);
}

/// A provider whose key can be rotated.
struct Provider;

impl KeyProvider for Provider {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        Ok(key())
    }
}

#[tokio::test(start_paused = true)]
async fn refused_key_does_not_hide_another_attempt_that_was_sent() {
    let refused = Exchange::refusal(401, None);
    let unavailable = failed(Head::Status(500, None));
    for exchanges in [
        [refused.clone(), unavailable.clone()],
        [unavailable, refused],
    ] {
        let (peer, settling) = (playing(exchanges), Settling::new());
        let client = ClientBuilder::over(KeySource::provider(Provider), peer.clone())
            .settle(settling.layer.clone())
            .attempt_layer(RetryOnce::always())
            .build()
            .unwrap();
        let error = client.send(create()).await.unwrap_err();
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2));
        assert_eq!(peer.ledger().creates.len(), 2);
        assert_eq!(settling.reports().await, [UNKNOWN]);
    }
}
