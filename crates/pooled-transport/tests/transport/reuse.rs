//! The reuse and the end of connections.

use std::{pin::pin, time::Duration};

use futures_util::{future::join_all, poll};
use http::header::HOST;
use http_body_util::BodyExt;
use pooled_transport::Builder;
use tower::Service;

use crate::world::{Signal, URI, World, exchange, request, settle, try_exchange};

pub(crate) const IDLE: Duration = Duration::from_secs(30);
/// The longest delay until an idle connection is closed.
const SWEEP: Duration = Duration::from_secs(5);

pub(crate) async fn after(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn connection_is_used_again_until_it_was_idle_for_too_long() {
    for world in World::both() {
        let transport = world.transport();
        for _ in 0..10 {
            exchange(&transport, URI).await;
            after(IDLE - Duration::from_secs(1)).await;
            assert_eq!((world.connected(), world.open()), (1, 1), "{}", world.http2);
        }
        after(SWEEP + Duration::from_secs(1)).await;
        assert_eq!(world.open(), 0, "HTTP/2: {}", world.http2);
        // No task is left, and the pool can be used again.
        let metrics = tokio::runtime::Handle::current().metrics();
        assert_eq!(metrics.num_alive_tasks(), 0, "HTTP/2: {}", world.http2);
        exchange(&transport, URI).await;
        assert_eq!((world.connected(), world.open()), (2, 1));
        // `advance` lets no other task run in between.
        tokio::time::advance(IDLE).await;
        exchange(&transport, URI).await;
        assert_eq!(world.connected(), 3, "HTTP/2: {}", world.http2);
        drop(transport);
        after(SWEEP).await;
        assert_eq!(world.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn idle_timeout_can_be_configured() {
    for world in World::both() {
        let builder = Builder::new().idle_timeout(Duration::from_secs(2));
        let transport = world.transport_of(builder);
        for connected in 1..4 {
            exchange(&transport, URI).await;
            assert_eq!(world.connected(), connected);
            after(Duration::from_secs(2)).await;
        }
        after(SWEEP).await;
        assert_eq!(world.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn request_goes_over_another_connection_when_the_peer_closed_the_idle_one() {
    for (world, is_noticed) in [
        (World::http1(), true),
        (World::http2(), true),
        // hyper returns the request unsent.
        (World::http1(), false),
    ] {
        let transport = world.transport();
        for connected in 1..4 {
            exchange(&transport, URI).await;
            assert_eq!(world.connected(), connected, "HTTP/2: {}", world.http2);
            settle().await;
            world.signal_unnoticed(Signal::HangUp);
            if is_noticed {
                settle().await;
            }
        }
        let requests = world.requests();
        assert_eq!(requests.len(), 3);
        assert!(requests.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[tokio::test(start_paused = true)]
async fn unused_connections_that_ended_do_not_fail_the_next_request() {
    let world = World::http1();
    let transport = world.transport();
    let responses = [(); 2].map(|()| transport.clone().call(request("http://127.0.0.1/gated")));
    let responses = join_all(responses).await;
    let permits = world.hold_connecting();
    let mut waiting = pin!(join_all((0..2).map(|_| exchange(&transport, URI))));
    assert!(poll!(waiting.as_mut()).is_pending());
    world.signal(Signal::FinishBodies).await;
    for response in responses {
        response.unwrap().into_body().collect().await.unwrap();
    }
    waiting.await;
    permits.add_permits(100);
    settle().await;
    assert_eq!((world.requests().len(), world.open()), (4, 4));
    world.signal(Signal::HangUp).await;
    exchange(&transport, URI).await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_http1_requests_leave_connections_for_the_next() {
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
async fn waiting_request_takes_a_connection_that_becomes_idle() {
    let world = World::http1();
    let transport = world.transport();
    let response = transport.clone().call(request("http://127.0.0.1/gated"));
    let response = response.await.unwrap();
    let permits = world.hold_connecting();
    let mut waiting = pin!(exchange(&transport, URI));
    assert!(poll!(waiting.as_mut()).is_pending());
    world.signal(Signal::FinishBodies).await;
    response.into_body().collect().await.unwrap();
    waiting.await;
    assert_eq!(world.connected(), 1);
    // The connect that it started goes on in the background.
    permits.add_permits(1);
    settle().await;
    assert_eq!((world.connected(), world.open()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn each_origin_has_its_own_connections() {
    let world = World::http1();
    let transport = world.transport();
    for _ in 0..2 {
        for host in 0..1000 {
            exchange(&transport, &format!("http://host-{host}:8080/")).await;
        }
        assert_eq!((world.connected(), world.open()), (1000, 1000));
    }
    exchange(&transport, "https://host-0:8080/").await;
    exchange(&transport, "http://host-0/").await;
    assert_eq!(world.connected(), 1002);
    exchange(&transport, "http://HOST-0/").await;
    assert_eq!(world.connected(), 1002, "the case of a host name matters");
    let requests = world.requests();
    assert_eq!(requests[999].1[HOST], "host-999:8080");
    after(IDLE + SWEEP).await;
    assert_eq!(world.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn request_target_fits_the_version() {
    for world in World::both() {
        exchange(&world.transport(), URI).await;
        let (uri, headers) = world.requests().remove(0);
        if world.http2 {
            assert_eq!(uri, URI);
            assert!(!headers.contains_key(HOST));
        } else {
            assert_eq!(uri, "/path?a=b");
            assert_eq!(headers[HOST], "127.0.0.1");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn host_header_leaves_out_the_default_port() {
    for (uri, host) in [
        ("http://127.0.0.1:8080/a?b=c", "127.0.0.1:8080"),
        ("https://example.com/v1", "example.com"),
        ("https://example.com:443/v1", "example.com"),
        ("http://example.com:443/v1", "example.com:443"),
        ("http://user:password@example.com/", "example.com"),
        ("http://[::1]:80/v1", "[::1]"),
        ("http://localhost", "localhost"),
    ] {
        let world = World::http1();
        exchange(&world.transport(), uri).await;
        assert_eq!(world.requests()[0].1[HOST], host, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn response_with_status_421_retires_its_connection() {
    for world in World::both() {
        let transport = world.transport();
        exchange(&transport, URI).await;
        for connected in 1..4 {
            let misdirected = try_exchange(&transport, "http://127.0.0.1/421").await;
            assert_eq!(misdirected.unwrap(), 421);
            assert_eq!(world.connected(), connected, "HTTP/2: {}", world.http2);
            settle().await;
            assert_eq!(world.open(), 0, "HTTP/2: {}", world.http2);
        }
        assert_eq!(world.requests().len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_can_share_a_transport() {
    for world in World::both() {
        let transport = world.transport();
        let tasks = (0..16).map(|_| {
            let transport = transport.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    exchange(&transport, URI).await;
                }
            })
        });
        for task in join_all(tasks).await {
            task.unwrap();
        }
        assert_eq!(world.requests().len(), 16 * 200);
        // A connection is kept if its request took another one.
        assert!(world.http2 || world.open() == world.connected());
    }
}
