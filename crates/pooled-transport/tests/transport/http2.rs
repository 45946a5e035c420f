//! The connection that all HTTP/2 requests share.

use std::{pin::pin, time::Duration};

use futures_util::{future::join_all, poll};
use http_body_util::BodyExt;
use pooled_transport::Builder;
use tokio::time::timeout;
use tower::Service;

use crate::world::{Signal, URI, World, exchange, request, settle, try_exchange};

const HEAD: &str = "http://127.0.0.1/head";

#[tokio::test(start_paused = true)]
async fn burst_of_first_requests_ends_with_one_connection() {
    // Until a connection is made it is unknown that it can be shared. Then the other connects are dropped.
    for (at_once, most) in [(100, 100), (1, 1)] {
        let world = World::http2();
        let transport = world.transport();
        let permits = world.hold_connecting();
        let mut requests = pin!(join_all((0..100).map(|_| exchange(&transport, URI))));
        assert!(poll!(requests.as_mut()).is_pending());
        permits.add_permits(at_once);
        requests.await;
        permits.add_permits(100);
        settle().await;
        let connected = world.connected();
        assert!(connected <= most && world.open() == 1);
        join_all((0..100).map(|_| exchange(&transport, URI))).await;
        assert_eq!((world.connected(), world.open()), (connected, 1));
        assert_eq!(world.requests().len(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn goaway_retires_the_connection_and_its_responses_go_on() {
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
    settle().await;
    assert_eq!((world.requests().len(), world.open()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn silent_connection_loses_the_requests_in_flight_and_no_other() {
    const LIMIT: Duration = Duration::from_secs(10);
    for idle in [0, 1, 20] {
        let world = World::http2();
        let transport = world.transport();
        for connected in [1, 2, 3] {
            exchange(&transport, URI).await;
            assert_eq!(world.connected(), connected);
            world.signal(Signal::FallSilent).await;
            tokio::time::sleep(Duration::from_secs(idle)).await;
            let lost = timeout(LIMIT, try_exchange(&transport, URI)).await;
            let error = lost.expect("the silence was not noticed").unwrap_err();
            assert!(error.may_have_been_sent(), "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connection_that_replies_to_pings_is_kept_for_a_slow_response() {
    let world = World::http2();
    let transport = world.transport();
    let slow = transport.clone().call(request(HEAD));
    assert!(timeout(Duration::from_secs(80), slow).await.is_err());
    exchange(&transport, URI).await;
    let mut slow = Box::pin(transport.clone().call(request(HEAD)));
    for _ in 0..10 {
        assert!(poll!(&mut slow).is_pending());
        exchange(&transport, URI).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!((world.connected(), world.open()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn keep_alive_can_be_disabled() {
    let world = World::http2();
    let builder = Builder::new().http2_keep_alive_interval(None);
    let transport = world.transport_of(builder);
    exchange(&transport, URI).await;
    world.signal(Signal::FallSilent).await;
    let lost = try_exchange(&transport, URI);
    assert!(timeout(Duration::from_secs(600), lost).await.is_err());
}
