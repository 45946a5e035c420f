//! An answer that one layer above the other reads is read by each as it came.

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, Client, ClientBuilder, RetryConfig,
    layer::{CollectBodyLayer, TimeoutLayer},
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

use crate::{
    OnceMore, SECOND, create, key, revoke,
    support::peer::{Exchange, Pause, Peer},
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
