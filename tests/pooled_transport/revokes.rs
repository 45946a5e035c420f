//! A revoke has no content that is asked for when it is sent: it is decided before whether it may be.

use std::time::Duration;

use clerk_actor_tokens::{
    BoxError, Client, ClientBuilder, Error, Outcome, SecretKey, layer::TimeoutLayer,
};
use futures_util::poll;
use tower::util::MapFutureLayer;

use crate::{IDLE, after, world::World};

async fn revoke(client: Client) -> Error {
    let id = "act_1".parse().unwrap();
    let error = client.revoke(&id).await.unwrap_err();
    after(IDLE).await;
    error
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_was_told_not_to_be_sent_is_not_sent() {
    async fn late<F: Future>(call: F) -> F::Output {
        tokio::time::sleep(Duration::from_secs(2)).await;
        call.await
    }
    for world in [World::http1(), World::http2()] {
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), world.transport())
            .base_url("http://127.0.0.1".parse().unwrap())
            .call_layer(TimeoutLayer::new(Duration::from_secs(1)))
            .call_layer(MapFutureLayer::new(async |call| tokio::spawn(call).await?))
            .call_layer(MapFutureLayer::new(late))
            .build()
            .unwrap();
        assert_eq!(revoke(client).await.outcome(), Outcome::NotSent);
        assert_eq!(world.requests().len(), 0, "HTTP/2: {}", world.http2);
    }
}

/// Fails a call after so many polls, and lets it go on.
async fn too_late<F, T>(call: F, polls: usize) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Send + 'static,
{
    let mut call = Box::pin(call);
    for _ in 0..polls {
        assert!(poll!(call.as_mut()).is_pending());
    }
    tokio::spawn(call);
    Err("too late".into())
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_was_begun_is_told_not_to_be_sent_only_if_it_is_not() {
    for (http2, polls) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1)] {
        let world = if http2 {
            World::http2()
        } else {
            World::http1()
        };
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), world.transport())
            .base_url("http://127.0.0.1".parse().unwrap())
            .call_layer(MapFutureLayer::new(move |call| too_late(call, polls)))
            .build()
            .unwrap();
        let told_unsent = revoke(client).await.outcome() == Outcome::NotSent;
        let requests = world.requests().len();
        assert_eq!(told_unsent, requests == 0, "HTTP/2: {http2}, {polls} polls");
    }
}
