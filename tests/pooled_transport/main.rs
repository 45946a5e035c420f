//! What the transport over the composable pool promises, besides every row of the battery.

mod kept;
mod revokes;
mod runtimes;
mod world;

use std::{pin::pin, time::Duration};

use futures_util::{future::join_all, poll};
use http_body_util::BodyExt;
use tower::Service;

use self::world::{World, exchange, hosts, request, settle};

const URI: &str = "http://127.0.0.1/v1/actor_tokens?a=b";
const IDLE: Duration = Duration::from_secs(90);
/// How late what is idle may be closed.
const SWEEP: Duration = Duration::from_secs(5);

async fn after(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn one_call_after_the_other_uses_one_connection() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        for _ in 0..10 {
            exchange(&transport, URI).await;
            after(IDLE / 2).await;
        }
        assert_eq!((world.connected(), world.open()), (1, 1), "{}", world.http2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_ninety_seconds() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        exchange(&transport, URI).await;
        after(IDLE - Duration::from_secs(1)).await;
        assert_eq!(world.open(), 1);
        after(SWEEP + Duration::from_secs(1)).await;
        assert_eq!(world.open(), 0, "HTTP/2: {}", world.http2);
        // Nothing ticks any more, and it begins again.
        let ticking = tokio::runtime::Handle::current().metrics();
        assert_eq!(ticking.num_alive_tasks(), 0, "HTTP/2: {}", world.http2);
        exchange(&transport, URI).await;
        assert_eq!((world.connected(), world.open()), (2, 1));
        drop(transport);
        after(SWEEP).await;
        assert_eq!(world.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_for_too_long_is_not_used() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        exchange(&transport, URI).await;
        // The clock jumps: nobody had the time to clear away.
        tokio::time::advance(IDLE).await;
        exchange(&transport, URI).await;
        assert_eq!(world.connected(), 2, "HTTP/2: {}", world.http2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_the_peer_closed_is_not_used() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        for connected in 1..4 {
            exchange(&transport, URI).await;
            assert_eq!(world.connected(), connected, "HTTP/2: {}", world.http2);
            world.hang_up().await;
        }
        assert_eq!(world.requests().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_at_once_share_a_connection_of_http2() {
    let world = World::http2();
    let transport = world.transport();
    join_all((0..100).map(|_| exchange(&transport, URI))).await;
    let connected = world.connected();
    settle().await;
    // Before the first is there nobody knows that it can be shared.
    assert_eq!(world.open(), 1);
    join_all((0..100).map(|_| exchange(&transport, URI))).await;
    assert_eq!((world.connected(), world.open()), (connected, 1));
    assert_eq!(world.requests().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn connecting_is_given_up_for_a_connection_of_http2_that_another_call_made() {
    let world = World::http2();
    let transport = world.transport();
    let permits = world.hold_connecting();
    let calls = pin!(join_all((0..100).map(|_| exchange(&transport, URI))));
    let mut calls = calls;
    assert!(poll!(calls.as_mut()).is_pending());
    permits.add_permits(1);
    calls.await;
    assert_eq!((world.connected(), world.requests().len()), (1, 100));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_at_once_leave_connections_of_http1_that_the_next_use() {
    let world = World::http1();
    let transport = world.transport();
    for _ in 0..2 {
        join_all((0..100).map(|_| exchange(&transport, URI))).await;
        assert!(world.connected() <= 100);
    }
    assert_eq!(world.requests().len(), 200);
    after(IDLE + SWEEP).await;
    assert_eq!(world.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_takes_a_connection_that_is_given_back() {
    let world = World::http1();
    let transport = world.transport();
    let answer = transport.clone().call(request(URI)).await.unwrap();
    let permits = world.hold_connecting();
    let mut waiting = pin!(exchange(&transport, URI));
    assert!(poll!(waiting.as_mut()).is_pending());
    answer.into_body().collect().await.unwrap();
    waiting.await;
    assert_eq!(world.connected(), 1);
    // What was begun for it is kept for others.
    permits.add_permits(1);
    settle().await;
    assert_eq!((world.connected(), world.open()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn each_host_has_connections_of_its_own() {
    let world = World::http1();
    let transport = world.transport();
    for _ in 0..2 {
        for host in 0..1000 {
            exchange(&transport, &format!("http://host-{host}:8080/v1")).await;
        }
        assert_eq!((world.connected(), world.open()), (1000, 1000));
    }
    // The scheme tells hosts apart, too, and so does the port.
    exchange(&transport, "https://host-0:8080/v1").await;
    exchange(&transport, "http://host-0/v1").await;
    assert_eq!(world.connected(), 1002);
    assert_eq!(hosts(&world)[999..1001], ["host-999:8080", "host-0:8080"]);
    after(IDLE + SWEEP).await;
    assert_eq!(world.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_says_where_it_goes_as_its_version_does() {
    for world in [World::http1(), World::http2()] {
        exchange(&world.transport(), URI).await;
        let (uri, headers) = world.requests().remove(0);
        if world.http2 {
            assert_eq!(uri, URI);
            assert!(!headers.contains_key(world::header::HOST));
        } else {
            assert_eq!(uri, "/v1/actor_tokens?a=b");
            assert_eq!(headers[world::header::HOST], "127.0.0.1");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gives_up_before_it_is_connected_hinders_nobody() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        let permits = world.hold_connecting();
        let mut kept = pin!(exchange(&transport, URI));
        {
            let mut given_up = pin!(exchange(&transport, URI));
            assert!(poll!(given_up.as_mut()).is_pending());
            assert!(poll!(kept.as_mut()).is_pending());
        }
        permits.add_permits(1);
        kept.await;
        assert_eq!((world.connected(), world.requests().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_the_head_leaves_nothing_that_is_used_again() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        exchange(&transport, URI).await;
        // Never polled: nothing was taken.
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
async fn an_answer_that_is_not_read_to_its_end_closes_its_connection() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        for uri in [URI, "http://127.0.0.1/body"] {
            drop(transport.clone().call(request(uri)).await.unwrap());
            settle().await;
            assert_eq!(world.open(), usize::from(world.http2));
        }
        let answer = transport.clone().call(request("http://127.0.0.1/body"));
        let mut body = answer.await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        exchange(&transport, URI).await;
        settle().await;
        assert_eq!(world.open(), 1);
        assert_eq!(world.connected(), if world.http2 { 1 } else { 4 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_can_share_it() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        let calls = (0..16).map(|_| {
            let transport = transport.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    exchange(&transport, URI).await;
                }
            })
        });
        for call in join_all(calls).await {
            call.unwrap();
        }
        assert_eq!(world.requests().len(), 16 * 200);
        // Whatever was made for a call that got another one is kept.
        assert!(world.http2 || world.open() == world.connected());
    }
}
