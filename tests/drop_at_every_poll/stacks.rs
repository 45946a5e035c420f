//! The whole stack, alone and under users' layers.

use std::time::Duration;

use clerk_actor_tokens::{ActorToken, ActorTokenRequest, RetryConfig};
use tower::{Service, ServiceBuilder, ServiceExt, buffer::BufferLayer};

use crate::{
    requests::{create, responses},
    setup::{Call, Setup, drop_at_every_poll},
    support::tower_policies::hedged,
};

async fn check<S>(stack: impl Fn(&Setup) -> S, request: impl Fn() -> ActorTokenRequest)
where
    S: Service<ActorTokenRequest, Response = ActorToken> + 'static,
{
    for (name, creates) in responses() {
        drop_at_every_poll(name, &creates, |setup| {
            let call = stack(setup).oneshot(request());
            Box::pin(async move { call.await.ok() })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn whole_stack_loses_no_token() {
    let short = Duration::from_millis(550);
    let retry_timeouts = || RetryConfig::default().retry_settled_timeouts(true);
    check(Setup::client, create).await;
    check(|setup| setup.builder().service().unwrap(), create).await;
    check(Setup::client, || create().timeout(short)).await;
    check(Setup::client, || create().attempt_timeout(short)).await;
    check(Setup::client, || {
        create().attempt_timeout(short).retry(retry_timeouts())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn buffer_above_or_inside_loses_no_token() {
    check(
        |setup| ServiceBuilder::new().buffer(4).service(setup.client()),
        create,
    )
    .await;
    let at_call_level = |setup: &Setup| {
        setup
            .builder()
            .call_layer(BufferLayer::new(4))
            .build()
            .unwrap()
    };
    check(at_call_level, create).await;
    let at_attempt_level = |setup: &Setup| {
        setup
            .builder()
            .attempt_layer(BufferLayer::new(4))
            .build()
            .unwrap()
    };
    check(at_attempt_level, create).await;
    let at_wire_level = |setup: &Setup| {
        setup
            .builder()
            .wire_layer(BufferLayer::new(4))
            .build()
            .unwrap()
    };
    check(at_wire_level, create).await;
}

#[tokio::test(start_paused = true)]
async fn timeout_layer_of_tower_loses_no_token() {
    for limit in [300, 1000, 9000].map(Duration::from_millis) {
        check(
            |setup| ServiceBuilder::new().timeout(limit).service(setup.client()),
            create,
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn hedge_above_the_stack_loses_no_token() {
    check(|setup| hedged(setup.client()), create).await;
}

#[tokio::test(start_paused = true)]
async fn select_loses_no_token() {
    fn selected(setup: &Setup, limit: Duration) -> Call<ActorToken> {
        let client = setup.client();
        Box::pin(async move {
            tokio::select! {
                biased;
                token = client.send(create()) => token.ok(),
                () = tokio::time::sleep(limit) => None,
            }
        })
    }
    for (name, creates) in responses() {
        for limit in (0..2000).step_by(100).map(Duration::from_millis) {
            drop_at_every_poll(name, &creates, |setup| selected(setup, limit)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn aborted_task_loses_no_token() {
    for (name, creates) in responses() {
        for ticks in 0..30 {
            let setup = Setup::new(&creates);
            let client = setup.client();
            let task = tokio::spawn(async move { client.send(create()).await.map(drop) });
            for _ in 0..ticks {
                tokio::task::yield_now().await;
            }
            task.abort();
            drop(task);
            setup
                .check(&[], 0, &format!("{name}, aborted after {ticks} ticks"))
                .await;
        }
    }
}
