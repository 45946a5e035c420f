//! The whole stack, by itself and under what others put above it.

use std::time::Duration;

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, RetryConfig};
use tower::{Service, ServiceBuilder, ServiceExt, buffer::BufferLayer};

use crate::{
    parts::{answers, create, hedged},
    scene::{Deed, Scene, drop_at_every_poll},
};

async fn hold<S>(stack: impl Fn(&Scene) -> S, request: impl Fn() -> ActorTokenRequest)
where
    S: Service<ActorTokenRequest, Response = ActorToken> + 'static,
{
    for (name, creates) in answers() {
        drop_at_every_poll(name, &creates, |scene| {
            let call = stack(scene).oneshot(request());
            Box::pin(async move { call.await.ok() })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_whole_stack_loses_nothing() {
    let short = Duration::from_millis(550);
    let eager = || RetryConfig::default().retry_settled_timeouts(true);
    hold(Scene::client, create).await;
    hold(|scene| scene.builder().service().unwrap(), create).await;
    hold(Scene::client, || create().timeout(short)).await;
    hold(Scene::client, || create().attempt_timeout(short)).await;
    hold(Scene::client, || {
        create().attempt_timeout(short).retry(eager())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_buffer_above_or_inside_loses_nothing() {
    hold(
        |scene| ServiceBuilder::new().buffer(4).service(scene.client()),
        create,
    )
    .await;
    let inside = |scene: &Scene| {
        scene
            .builder()
            .call_layer(BufferLayer::new(4))
            .build()
            .unwrap()
    };
    hold(inside, create).await;
    let below = |scene: &Scene| {
        scene
            .builder()
            .wire_layer(BufferLayer::new(4))
            .build()
            .unwrap()
    };
    hold(below, create).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_towers_loses_nothing() {
    for limit in [300, 1000, 9000].map(Duration::from_millis) {
        hold(
            |scene| ServiceBuilder::new().timeout(limit).service(scene.client()),
            create,
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_above_the_stack_loses_nothing() {
    hold(|scene| hedged(scene.client()), create).await;
}

#[tokio::test(start_paused = true)]
async fn select_loses_nothing() {
    fn selected(scene: &Scene, limit: Duration) -> Deed<ActorToken> {
        let client = scene.client();
        Box::pin(async move {
            tokio::select! {
                biased;
                token = client.send(create()) => token.ok(),
                () = tokio::time::sleep(limit) => None,
            }
        })
    }
    for (name, creates) in answers() {
        for limit in (0..2000).step_by(100).map(Duration::from_millis) {
            drop_at_every_poll(name, &creates, |scene| selected(scene, limit)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_aborted_loses_nothing() {
    for (name, creates) in answers() {
        for ticks in 0..30 {
            let scene = Scene::new(&creates);
            let client = scene.client();
            let task = tokio::spawn(async move { client.send(create()).await.map(drop) });
            for _ in 0..ticks {
                tokio::task::yield_now().await;
            }
            task.abort();
            drop(task);
            scene
                .check(&[], 0, &format!("{name}, aborted after {ticks} ticks"))
                .await;
        }
    }
}
