//! The shared HTTP/2 connection.

use std::{pin::pin, time::Duration};

use futures_util::{future::join_all, poll};
use http_body_util::BodyExt;
use pooled_transport::Builder;
use tokio::time::timeout;
use tower::Service;

use crate::world::{Signal, Transport, URI, World, exchange, request, run_tasks, try_exchange};

const HEAD: &str = "http://127.0.0.1/head";

#[tokio::test(start_paused = true)]
async fn burst_of_first_requests_ends_with_one_connection() {
    // The first connection shows that it can be shared. Then the other connects are dropped.
    for (at_once, most) in [(100, 100), (1, 1)] {
        let world = World::http2();
        let transport = world.transport();
        let permits = world.hold_connecting();
        let mut requests = pin!(join_all((0..100).map(|_| exchange(&transport, URI))));
        assert!(poll!(requests.as_mut()).is_pending());
        permits.add_permits(at_once);
        requests.await;
        permits.add_permits(100);
        run_tasks().await;
        let connected = world.connected();
        assert!(connected <= most && world.open() == 1);
        join_all((0..100).map(|_| exchange(&transport, URI))).await;
        assert_eq!((world.connected(), world.open()), (connected, 1));
        assert_eq!(world.requests().len(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn goaway_retires_the_connection_and_its_responses_continue() {
    let world = World::http2();
    let transport = world.transport();
    let gated = transport.clone().call(request("http://127.0.0.1/gated"));
    let response = gated.await.unwrap();
    world.signal(Signal::GoAway).await;
    for _ in 0..3 {
        exchange(&transport, URI).await;
        assert_eq!((world.connected(), world.open()), (2, 2));
    }
    world.signal(Signal::FinishBodies).await;
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
    run_tasks().await;
    assert_eq!((world.requests().len(), world.open()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn stalled_connection_fails_the_requests_in_flight_and_no_others() {
    const LIMIT: Duration = Duration::from_secs(10);
    for idle in [0, 1, 20] {
        let world = World::http2();
        let transport = with_pings(&world);
        for connected in [1, 2, 3] {
            exchange(&transport, URI).await;
            assert_eq!(world.connected(), connected);
            world.signal(Signal::Stall).await;
            tokio::time::sleep(Duration::from_secs(idle)).await;
            let lost = timeout(LIMIT, try_exchange(&transport, URI)).await;
            let error = lost.expect("the keep-alive did not time out").unwrap_err();
            assert!(error.may_have_been_sent(), "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connection_that_replies_to_pings_is_kept_for_a_slow_response() {
    let world = World::http2();
    let transport = with_pings(&world);
    let slow = transport.clone().call(request(HEAD));
    assert!(timeout(Duration::from_secs(80), slow).await.is_err());
    exchange(&transport, URI).await;
    wait_beside_requests(&transport).await;
    assert_eq!((world.connected(), world.open()), (2, 1));
}

/// A connection that has carried one exchange, and from now on nothing.
async fn stalled() -> (World, Transport) {
    let world = World::http2();
    let transport = world.transport();
    exchange(&transport, URI).await;
    world.signal(Signal::Stall).await;
    (world, transport)
}

#[tokio::test(start_paused = true)]
async fn keep_alive_is_disabled_by_default() {
    let (_world, transport) = stalled().await;
    let lost = try_exchange(&transport, URI);
    assert!(timeout(Duration::from_secs(600), lost).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn request_after_one_that_timed_out_goes_over_a_new_connection() {
    let world = World::http2();
    let transport = world.transport();
    for connected in [1, 2, 3] {
        exchange(&transport, URI).await;
        assert_eq!(world.connected(), connected);
        world.signal(Signal::Stall).await;
        let lost = try_exchange(&transport, URI);
        assert!(timeout(Duration::from_secs(2), lost).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn request_beside_one_without_response_goes_over_a_new_connection() {
    let (world, transport) = stalled().await;
    let mut lost = Box::pin(try_exchange(&transport, URI));
    assert!(poll!(&mut lost).is_pending());
    tokio::time::sleep(Duration::from_secs(2)).await;
    exchange(&transport, URI).await;
    assert_eq!(world.connected(), 2);
    assert!(poll!(&mut lost).is_pending());
}

#[tokio::test(start_paused = true)]
async fn connection_that_responds_is_kept_for_a_slow_response() {
    let world = World::http2();
    let transport = world.transport();
    exchange(&transport, URI).await;
    wait_beside_requests(&transport).await;
    assert_eq!((world.connected(), world.open()), (1, 1));
}

/// Waits for a response that does not come, while others come.
async fn wait_beside_requests(transport: &Transport) {
    let mut slow = Box::pin(transport.clone().call(request(HEAD)));
    for _ in 0..10 {
        assert!(poll!(&mut slow).is_pending());
        exchange(transport, URI).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
}

fn with_pings(world: &World) -> Transport {
    let interval = Some(Duration::from_secs(5));
    world.transport_of(Builder::new().http2_keep_alive_interval(interval))
}
