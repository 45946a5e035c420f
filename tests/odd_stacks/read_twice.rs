//! An answer that one layer above the other reads is read by each as it came.

use std::convert::Infallible;

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, Client, ClientBuilder, RetryConfig,
    layer::{CollectBodyLayer, TimeoutLayer},
};
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

use crate::{
    OnceMore, SECOND, Settling, calls, create, key, revoke, revoked,
    support::peer::{End, Exchange, Pause, Peer},
};

type Read = BoxCloneSyncService<Request<Body>, Response<Full<Bytes>>, BoxError>;

/// A client that sends once, and reads what is read below already.
fn reading_again(below: Read) -> Client {
    ClientBuilder::over(key(), below)
        .retry(RetryConfig::disabled())
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_answers_at_once_are_not_read_into_each_other() {
    let peer = Peer::new(|_| Exchange {
        frames: 4,
        before_frame: Pause::time(SECOND / 100),
        ..Exchange::prompt()
    });
    let read = CollectBodyLayer::default().layer(peer);
    let both = tower::service_fn(move |request: Request<Body>| {
        let other = read.clone().oneshot(request.clone());
        let one = read.clone().oneshot(request);
        async { tokio::join!(one, other).0 }
    });
    let client = reading_again(Read::new(both));
    client.send(revoke()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_is_not_read_into_the_next() {
    for request in [create, revoke] {
        let peer = Peer::new(|asked| Exchange {
            frames: 2,
            before_frame: match asked.before {
                0 => Pause::time(SECOND * 7 / 10),
                _ => Pause::default(),
            },
            ..Exchange::prompt()
        });
        let read = CollectBodyLayer::default().layer(peer);
        let timed = TimeoutLayer::new(SECOND).layer(read);
        let client = reading_again(Read::new(OnceMore::layer(|_| true).layer(timed)));
        client.send(request()).await.unwrap();
    }
}

/// Passes an answer on that takes a while once more.
fn slowly(answer: Response<Full<Bytes>>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    answer.map(|mut body| {
        let frames = stream::once(async move {
            tokio::time::sleep(SECOND).await;
            body.frame().await.unwrap()
        });
        StreamBody::new(frames).boxed_unsync()
    })
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_is_not_read_into_the_one_that_is_returned() {
    let peer = Peer::new(|asked| Exchange {
        before_frame: match asked.before {
            0 => Pause::time(SECOND),
            _ => Pause::default(),
        },
        ..Exchange::prompt()
    });
    let read = CollectBodyLayer::default().layer(peer);
    let other = tower::service_fn(move |request: Request<Body>| {
        let other = read.clone().oneshot(request.clone());
        let one = read.clone().oneshot(request);
        async {
            tokio::spawn(one);
            tokio::time::sleep(SECOND / 2).await;
            other.await
        }
    });
    let client = ClientBuilder::over(key(), other.map_response(slowly))
        .retry(RetryConfig::disabled())
        .build()
        .unwrap();
    client.send(revoke()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_read_is_revoked_where_a_layer_above_reads_again() {
    let peer = Peer::new(|_| Exchange {
        end: End::Hang,
        ..Exchange::prompt()
    });
    let settling = Settling::new();
    let settled = settling.over(CollectBodyLayer::default().layer(peer));
    let timed = TimeoutLayer::new(SECOND).layer(settled);
    calls(timed).oneshot(create()).await.unwrap_err();
    assert_eq!(settling.told().await, [revoked("act_0")]);
}
