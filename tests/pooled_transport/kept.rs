//! What becomes of a call when the connection that it would use was kept, and is not what it was.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::transport::PooledTransport;
use futures_util::{future::join_all, poll};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::Service;

use crate::{
    URI,
    world::{World, exchange, request, settle},
};

#[tokio::test(start_paused = true)]
async fn connections_that_were_never_used_and_ended_do_not_fail_the_next_call() {
    let world = World::http1();
    let transport = world.transport();
    let one = transport.clone().call(request(URI)).await.unwrap();
    let other = transport.clone().call(request(URI)).await.unwrap();
    let permits = world.hold_connecting();
    let mut waiting = pin!(join_all((0..2).map(|_| exchange(&transport, URI))));
    assert!(poll!(waiting.as_mut()).is_pending());
    for answer in [one, other] {
        answer.into_body().collect().await.unwrap();
    }
    waiting.await;
    permits.add_permits(100);
    settle().await;
    assert_eq!(world.requests().len(), 4);
    assert!(world.open() > 2, "none was made that is not used");
    world.hang_up().await;
    exchange(&transport, URI).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_begun_to_be_written_goes_over_another_connection() {
    for used in [true, false] {
        let world = World::http1();
        let transport = world.transport();
        let answer = transport.clone().call(request(URI)).await.unwrap();
        let permits = world.hold_connecting();
        let mut waiting = pin!(exchange(&transport, URI));
        if !used {
            assert!(poll!(waiting.as_mut()).is_pending());
        }
        answer.into_body().collect().await.unwrap();
        waiting.await;
        permits.add_permits(100);
        settle().await;
        assert_eq!(world.open(), if used { 1 } else { 2 });
        world.hang_up_unseen();
        exchange(&transport, URI).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_http2_that_falls_silent_loses_one_call() {
    const LIMIT: Duration = Duration::from_secs(10);
    for idle in [0, 1, 30] {
        let world = World::http2();
        let transport = world.transport();
        for connected in [1, 2, 3] {
            exchange(&transport, URI).await;
            assert_eq!(world.connected(), connected);
            world.fall_silent().await;
            tokio::time::sleep(Duration::from_secs(idle)).await;
            let call = transport.clone().call(request(URI));
            assert!(timeout(LIMIT, call).await.is_err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_http2_that_gives_answers_is_kept_whoever_waits() {
    let world = World::http2();
    let transport = world.transport();
    let mut late = Box::pin(transport.clone().call(request("http://127.0.0.1/head")));
    for _ in 0..10 {
        assert!(poll!(&mut late).is_pending());
        exchange(&transport, URI).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(world.connected(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_does_not_end_its_connection() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        let late = transport.clone().call(request("http://127.0.0.1/head"));
        let ended = timeout(Duration::from_secs(80), late).await;
        assert!(ended.is_err(), "HTTP/2: {}", world.http2);
        exchange(&transport, URI).await;
        assert_eq!(world.connected(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_older_connection_answers_does_not_keep_a_silent_one() {
    let worlds = [World::http2(), World::http2(), World::http2()];
    let (left, made) = (worlds.clone(), Arc::new(AtomicUsize::new(0)));
    let transport = PooledTransport::over(tower::service_fn(move |uri| {
        let mut next = left[made.fetch_add(1, Ordering::Relaxed)].clone();
        async move { next.call(uri).await }
    }));
    let wait = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
    let late = transport.clone().call(request("http://127.0.0.1/head"));
    let mut late = pin!(late);
    assert!(poll!(&mut late).is_pending());
    settle().await;
    assert!(poll!(&mut late).is_pending());
    wait(6).await;
    exchange(&transport, URI).await;
    let [first, second, third] = &worlds;
    second.fall_silent().await;
    let mut lost = pin!(exchange(&transport, URI));
    assert!(poll!(&mut lost).is_pending());
    wait(4).await;
    first.hang_up().await;
    assert!(late.await.is_err());
    wait(4).await;
    exchange(&transport, URI).await;
    assert_eq!([first, second, third].map(World::connected), [1, 1, 1]);
}
