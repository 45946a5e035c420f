//! The connections of cancelled requests.

use std::pin::pin;

use futures_util::poll;
use http_body_util::BodyExt;
use tower::Service;

use crate::world::{URI, World, exchange, request, settle};

#[tokio::test(start_paused = true)]
async fn connect_of_a_cancelled_request_is_used_by_a_waiting_and_by_the_next_request() {
    for (http2, is_next) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::new(http2);
        let transport = world.transport();
        let permits = world.hold_connecting();
        let mut other = pin!(exchange(&transport, URI));
        {
            let mut cancelled = pin!(exchange(&transport, URI));
            assert!(poll!(cancelled.as_mut()).is_pending());
            assert!(is_next || poll!(other.as_mut()).is_pending());
        }
        permits.add_permits(1);
        if is_next {
            settle().await;
        }
        other.await;
        assert_eq!((world.connected(), world.requests().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn connects_of_cancelled_requests_are_bounded() {
    let world = World::http1();
    let transport = world.transport();
    let permits = world.hold_connecting();
    for _ in 0..1000 {
        let mut cancelled = pin!(exchange(&transport, URI));
        assert!(poll!(cancelled.as_mut()).is_pending());
    }
    permits.add_permits(1000);
    settle().await;
    assert_eq!(world.connected(), 64);
}

#[tokio::test(start_paused = true)]
async fn request_that_is_dropped_before_the_head_leaves_no_http1_connection() {
    for world in World::both() {
        let transport = world.transport();
        exchange(&transport, URI).await;
        // Never polled: no connection was taken.
        drop(transport.clone().call(request(URI)));
        for polls in 1..4 {
            let mut dropped = Box::pin(transport.clone().call(request("http://127.0.0.1/head")));
            for _ in 0..polls {
                assert!(poll!(dropped.as_mut()).is_pending());
                settle().await;
            }
            drop(dropped);
            exchange(&transport, URI).await;
            settle().await;
            assert_eq!(world.open(), 1, "HTTP/2: {}", world.http2);
        }
        assert_eq!(world.connected(), if world.http2 { 1 } else { 4 });
    }
}

#[tokio::test(start_paused = true)]
async fn response_that_is_not_read_to_its_end_closes_its_http1_connection() {
    for world in World::both() {
        let transport = world.transport();
        let uri = "http://127.0.0.1/gated";
        drop(transport.clone().call(request(uri)).await.unwrap());
        settle().await;
        assert_eq!(world.open(), usize::from(world.http2));
        let response = transport.clone().call(request(uri)).await.unwrap();
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        exchange(&transport, URI).await;
        settle().await;
        assert_eq!(world.open(), 1);
        assert_eq!(world.connected(), if world.http2 { 1 } else { 3 });
    }
}
