//! Attempt layers that hedge, with several concurrent attempts of a call.

use clerk_actor_tokens::{ActorTokenRequest, BoxError, Payload, TokenResponse};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, buffer::BufferLayer, layer::layer_fn, util::Oneshot};

use crate::{
    SECOND, Settling,
    attempt_layers::keeping,
    claim, create, late, numbered, playing, prompt, revoke, revoked, sent,
    support::{
        peer::{Content, Delay, Exchange, Peer},
        tower_policies::hedged,
    },
    without_retry,
};

/// Sends each request as two attempts, from whose futures `both` makes the response.
fn hedging<S, F, T>(
    both: F,
) -> impl Layer<
    S,
    Service = impl Service<
        Request<Payload>,
        Response = Response<TokenResponse>,
        Error = BoxError,
        Future = T,
    >
              + Clone
              + Send
              + Sync
              + 'static
              + use<S, F, T>,
>
where
    S: Service<Request<Payload>, Response = Response<TokenResponse>, Error = BoxError>,
    S: Clone + Send + Sync + 'static,
    F: Fn(Oneshot<S, Request<Payload>>, Oneshot<S, Request<Payload>>) -> T,
    F: Clone + Send + Sync + 'static,
    T: Future<Output = Result<Response<TokenResponse>, BoxError>> + Send + 'static,
{
    layer_fn(move |attempt: S| {
        let both = both.clone();
        tower::service_fn(move |request: Request<Payload>| {
            let other = attempt.clone().oneshot(request.clone());
            both(attempt.clone().oneshot(request), other)
        })
    })
}

#[tokio::test(start_paused = true)]
async fn hedged_attempts_return_one_token_and_revoke_the_other() {
    let settling = Settling::new();
    let client = without_retry(prompt())
        .settle(settling.layer.clone())
        .attempt_layer(hedging(async |one, other| {
            // Both have a response before one is returned.
            let other = tokio::spawn(other);
            let one = tokio::spawn(one);
            tokio::time::sleep(SECOND).await;
            assert!(other.is_finished());
            one.await?
        }))
        .build()
        .unwrap();
    let token = client.send(create()).await.unwrap();
    claim(&token);
    let reports = settling.reports().await;
    let other = ["act_1", "act_0"][usize::from(token.id().as_str() == "act_1")];
    assert_eq!(reports, [revoked(other)]);
}

#[tokio::test(start_paused = true)]
async fn late_response_of_a_hedge_is_revoked_although_the_request_is_kept() {
    let (kept, settling) = (Default::default(), Settling::new());
    let client = without_retry(prompt())
        .settle(settling.layer.clone())
        .attempt_layer(keeping(&kept))
        .attempt_layer(hedging(async |one, other| {
            tokio::spawn(async {
                tokio::time::sleep(SECOND).await;
                other.await
            });
            one.await
        }))
        .build()
        .unwrap();
    let token = client.send(create()).await.unwrap();
    claim(&token);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(token.id().as_str(), "act_0");
    assert_eq!(settling.reports().await, [revoked("act_1")]);
}

#[tokio::test(start_paused = true)]
async fn slow_attempt_that_a_hedge_cancels_is_revoked() {
    let (peer, settling) = (playing([late()]), Settling::new());
    let client = without_retry(peer.clone())
        .settle(settling.layer.clone())
        // tower's hedge is not `Clone`, so it is under a buffer.
        .attempt_layer(BufferLayer::<Request<Payload>>::new(16))
        .attempt_layer(layer_fn(hedged::<_, Request<Payload>>))
        .build()
        .unwrap();
    let token = client.send(create()).await.unwrap();
    claim(&token);
    assert_eq!(token.id().as_str(), "act_1");
    assert_eq!(settling.reports().await, [revoked("act_0")]);
    assert_eq!(sent(&peer), 2);
}

#[tokio::test(start_paused = true)]
async fn hedged_attempts_do_not_mix_their_response_bytes() {
    for request in [create, revoke] {
        let peer = Peer::new(|_| Exchange {
            frames: 4,
            before_frame: Delay::time(SECOND / 100),
            ..Exchange::prompt()
        });
        let client = without_retry(peer)
            .attempt_layer(hedging(async |one, other| tokio::join!(one, other).0))
            .build()
            .unwrap();
        client.send(request()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn response_of_a_spawned_attempt_is_not_mixed_into_the_returned_one() {
    let peer = Peer::new(|received| Exchange {
        frames: 2,
        before_frame: match received.earlier {
            0 => Delay::time(SECOND),
            _ => Delay::time(SECOND / 2),
        },
        ..Exchange::prompt()
    });
    let client = without_retry(peer)
        .attempt_layer(hedging(async |one, other| {
            tokio::spawn(one);
            tokio::time::sleep(SECOND / 2).await;
            other.await
        }))
        .build()
        .unwrap();
    client.send(revoke()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn hedged_revoke_succeeds_when_its_second_attempt_is_already_revoked() {
    let peer = Peer::new(|received| match received.earlier {
        0 => late(),
        _ => Exchange {
            content: Content::CannotBeRevoked("revoked"),
            ..Exchange::refusal(400, None)
        },
    });
    let client = without_retry(peer.clone())
        .attempt_layer(hedging(async |one, other| {
            let later = async {
                tokio::time::sleep(SECOND).await;
                other.await
            };
            tokio::select! { result = one => result, result = later => result }
        }))
        .build()
        .unwrap();
    let revoke = numbered(ActorTokenRequest::revoke("act_0".parse().unwrap()));
    client.send(revoke).await.unwrap();
    assert_eq!(peer.ledger().revokes.len(), 2);
}
