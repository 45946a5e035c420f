//! Several runtimes, none, and one that does not run in between.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    pin::{Pin, pin},
    sync::{Arc, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::poll;
use http::{Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pooled_transport::{BoxError, PooledTransport};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time::timeout,
};
use tower::Service;

use crate::{
    reuse::{IDLE, after},
    world::{Stream, URI, World, exchange, request, settle, try_exchange},
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
        assert!(poll!(pending.as_mut()).is_pending());
        settle().await;
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
        world.finish_bodies().await;
        response.into_body().collect().await.unwrap();
        settle().await;
    });
    // It takes the idle connection, and drops the connect that it had started.
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(cx).is_pending());
    runtime.block_on(async { assert!(waiting.await.is_ok()) });
    assert_eq!(world.connected(), 1);
}

#[test]
fn connection_is_kept_for_the_runtime_that_drives_it() {
    for world in World::both() {
        let transport = world.transport();
        let (one, other) = (paused(), paused());
        let permits = world.hold_connecting();
        let mut moved = Box::pin(exchange(&transport, URI));
        one.block_on(async { assert!(poll!(moved.as_mut()).is_pending()) });
        // The request moves to another runtime, which does not run after it.
        permits.add_permits(100);
        other.block_on(moved);
        let next = async { timeout(Duration::from_secs(60), exchange(&transport, URI)).await };
        assert!(one.block_on(next).is_ok(), "HTTP/2: {}", world.http2);
    }
}

#[test]
fn request_that_leaves_its_runtime_while_it_connects_is_an_error() {
    for http2 in [false, true] {
        let permits = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&permits);
        let mut transport = PooledTransport::new(tower::service_fn(move |_: Uri| {
            let gate = Arc::clone(&gate);
            async move {
                let _permit = gate.acquire().await?;
                let (client, _) = tokio::io::duplex(1024);
                Ok::<_, BoxError>(Stream::new(client, http2))
            }
        }));
        let mut moved = pin!(transport.call(request(URI)));
        paused().block_on(async { assert!(poll!(moved.as_mut()).is_pending()) });
        permits.add_permits(1);
        let polled = moved.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(_))), "HTTP/2: {http2}");
    }
}

/// Serves one connection after the other on its own thread, until it is asked to close each.
struct Server {
    address: SocketAddr,
    close: tokio::sync::mpsc::UnboundedSender<()>,
    closed: mpsc::Receiver<()>,
}

impl Server {
    fn new(http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (close, mut to_close) = tokio::sync::mpsc::unbounded_channel();
        let (has_closed, closed) = mpsc::channel();
        let serving = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                if serve(stream, http2, to_close.recv()).await.is_none() {
                    return;
                }
                has_closed.send(()).unwrap();
            }
        };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        thread::spawn(move || runtime.block_on(serving));
        Self {
            address,
            close,
            closed,
        }
    }

    fn close(&self) {
        self.close.send(()).unwrap();
        self.closed.recv().unwrap();
    }
}

/// Returns `Some` if it was asked to stop.
async fn serve(
    stream: TcpStream,
    http2: bool,
    stop: impl Future<Output = Option<()>>,
) -> Option<()> {
    let io = TokioIo::new(stream);
    let service =
        service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok"))) });
    let serving: Pin<Box<dyn Future<Output = ()> + Send>> = if http2 {
        let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service);
        Box::pin(async move { drop(serving.await) })
    } else {
        let serving = http1::Builder::new().serve_connection(io, service);
        Box::pin(async move { drop(serving.await) })
    };
    tokio::select! {
        () = serving => None,
        stop = stop => stop,
    }
}

#[test]
fn connection_that_ended_while_its_runtime_did_not_run_is_not_used() {
    for (http2, spawned) in [(false, false), (false, true), (true, false), (true, true)] {
        let server = Server::new(http2);
        let address = server.address;
        let transport = PooledTransport::new(tower::service_fn(move |_: Uri| async move {
            let stream = TcpStream::connect(address).await?;
            Ok::<_, io::Error>(Stream::new(stream, http2))
        }));
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
            server.close();
        }
    }
}
