//! A transport on several runtimes, outside of one, and on one that runs only at times.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::poll;
use http_body_util::BodyExt;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use tower::Service;

use crate::{
    reuse::{IDLE, after},
    world::{Signal, URI, World, exchange, request, settle, try_exchange},
};

fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

#[test]
fn next_request_succeeds_when_the_runtime_of_the_last_one_is_gone() {
    for world in World::both() {
        let transport = world.transport();
        for connected in 1..4 {
            paused().block_on(async {
                exchange(&transport, URI).await;
                assert_eq!(world.connected(), connected, "HTTP/2: {}", world.http2);
                after(IDLE / 2).await;
            });
        }
    }
}

#[test]
fn each_runtime_has_its_own_connections() {
    for world in World::both() {
        let transport = world.transport();
        let runtimes = [paused(), paused()];
        // While one runtime runs, the connections of the other one are not polled.
        for _ in 0..3 {
            for runtime in &runtimes {
                let result = runtime.block_on(async {
                    timeout(Duration::from_secs(60), exchange(&transport, URI)).await
                });
                assert!(result.is_ok(), "HTTP/2: {}", world.http2);
            }
        }
        assert_eq!(world.connected(), 2, "HTTP/2: {}", world.http2);
        for runtime in &runtimes {
            runtime.block_on(after(2 * IDLE));
        }
        assert_eq!(world.open(), 0, "HTTP/2: {}", world.http2);
    }
}

#[test]
fn end_of_a_runtime_does_not_end_the_exchanges_of_another() {
    let world = World::http2();
    let transport = world.transport();
    let (one, other) = (paused(), paused());
    one.block_on(exchange(&transport, URI));
    let mut pending = pin!(transport.clone().call(request("http://127.0.0.1/head")));
    other.block_on(async {
        for _ in 0..2 {
            assert!(poll!(pending.as_mut()).is_pending());
            settle().await;
        }
        assert_eq!(world.requests().len(), 2);
    });
    drop(one);
    other.block_on(async {
        settle().await;
        assert!(poll!(pending.as_mut()).is_pending());
    });
}

#[test]
fn request_outside_of_a_runtime_is_an_error() {
    let world = World::http1();
    let result = pin!(world.transport().call(request(URI)));
    let Poll::Ready(Err(error)) = result.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it was not refused");
    };
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    assert!(!error.may_have_been_sent());
    assert_eq!(world.connected(), 0);
}

#[test]
fn request_that_is_polled_outside_of_its_runtime_does_not_panic() {
    let world = World::http1();
    let transport = world.transport();
    let runtime = paused();
    let mut waiting = Box::pin(transport.clone().call(request(URI)));
    runtime.block_on(async {
        let gated = transport.clone().call(request("http://127.0.0.1/gated"));
        let response = gated.await.unwrap();
        world.hold_connecting();
        assert!(poll!(waiting.as_mut()).is_pending());
        world.signal(Signal::FinishBodies).await;
        response.into_body().collect().await.unwrap();
        settle().await;
    });
    // The request takes the idle connection, and drops the connect that it started.
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(cx).is_pending());
    runtime.block_on(async { assert!(waiting.await.is_ok()) });
    assert_eq!(world.connected(), 1);
}

/// A runtime with its own thread.
fn running() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn connection_is_driven_by_the_runtime_on_which_the_request_began() {
    for world in World::both() {
        let (one, remote, other) = (running(), running(), running());
        let transport = world.transport_to(remote.handle().clone());
        let permits = world.hold_connecting();
        let mut moved = Box::pin(exchange(&transport, URI));
        one.block_on(async { assert!(poll!(moved.as_mut()).is_pending()) });
        // The next request can only wait for this connection.
        permits.add_permits(1);
        other.block_on(moved);
        one.block_on(exchange(&transport, URI));
        assert_eq!(world.connected(), 1, "HTTP/2: {}", world.http2);
    }
}

#[test]
fn request_whose_runtime_ends_while_it_connects_is_an_error() {
    for world in World::both() {
        let transport = world.transport();
        let permits = world.hold_connecting();
        let mut moved = pin!(try_exchange(&transport, URI));
        paused().block_on(async { assert!(poll!(moved.as_mut()).is_pending()) });
        permits.add_permits(1);
        let error = paused().block_on(moved).unwrap_err();
        assert!(error.to_string().contains("tokio runtime"), "{error}");
        assert!(!error.may_have_been_sent());
    }
}

#[test]
fn connection_that_ended_while_its_runtime_did_not_run_is_not_used() {
    for (http2, spawned) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::new(http2);
        let remote = running();
        let transport = world.transport_to(remote.handle().clone());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let send = || {
            let transport = transport.clone();
            async move { assert_eq!(try_exchange(&transport, URI).await.unwrap(), 200) }
        };
        for _ in 0..3 {
            runtime.block_on(async {
                if spawned {
                    tokio::spawn(send()).await.unwrap();
                } else {
                    send().await;
                }
                settle().await;
                tokio::time::pause();
                tokio::time::advance(Duration::from_secs(2)).await;
                tokio::time::resume();
            });
            remote.block_on(async {
                world.signal_unnoticed(Signal::HangUp);
                while world.open() > 0 {
                    tokio::task::yield_now().await;
                }
            });
        }
    }
}
