//! What the runtimes that calls run on have to do with it: several, none, and one that stands still.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    pin::{Pin, pin},
    sync::{Arc, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    BoxError, Client, ErrorKind, Outcome, SecretKey,
    transport::{HyperTransport, PooledTransport, TransportConfig},
};
use futures_util::poll;
use http::{Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time::timeout,
};
use tower::Service;

use crate::{
    IDLE, URI, after,
    world::{Stream, World, exchange, request, settle},
};

fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

#[test]
fn the_next_call_goes_well_when_the_runtime_of_the_last_one_is_gone() {
    for world in [World::http1(), World::http2()] {
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
fn each_runtime_has_connections_of_its_own() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        let runtimes = [paused(), paused()];
        // While one runs the other stands still, and whatever it drives.
        for _ in 0..3 {
            for runtime in &runtimes {
                let call = runtime.block_on(async {
                    let call = exchange(&transport, URI);
                    tokio::time::timeout(Duration::from_secs(60), call).await
                });
                assert!(call.is_ok(), "HTTP/2: {}", world.http2);
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
fn the_end_of_a_runtime_does_not_end_the_exchanges_of_another() {
    let world = World::http2();
    let transport = world.transport();
    let (one, other) = (paused(), paused());
    one.block_on(exchange(&transport, URI));
    let mut call = pin!(transport.clone().call(request("http://127.0.0.1/head")));
    other.block_on(async {
        assert!(poll!(call.as_mut()).is_pending());
        settle().await;
        assert_eq!(world.requests().len(), 2);
    });
    drop(one);
    other.block_on(async {
        settle().await;
        assert!(poll!(call.as_mut()).is_pending());
    });
}

#[test]
fn where_there_is_no_runtime_connecting_is_an_error() {
    let world = World::http1();
    let call = pin!(world.transport().call(request(URI)));
    let cx = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = call.poll(cx) else {
        panic!("it was not refused");
    };
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    assert_eq!(world.connected(), 0);
}

#[test]
fn a_call_that_goes_on_where_there_is_no_runtime_does_not_panic() {
    let world = World::http1();
    let transport = world.transport();
    let runtime = paused();
    let mut call = Box::pin(transport.clone().call(request(URI)));
    runtime.block_on(async {
        let answer = transport.clone().call(request(URI)).await.unwrap();
        world.hold_connecting();
        assert!(poll!(call.as_mut()).is_pending());
        answer.into_body().collect().await.unwrap();
    });
    // It takes the connection that was given back, and what it began is given up.
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(cx).is_pending());
    runtime.block_on(async {
        assert!(call.await.is_ok());
    });
    assert_eq!(world.connected(), 1);
}

/// Serves a connection on a thread of its own, until it is told to close it, and then the next one.
struct Server {
    address: SocketAddr,
    close: tokio::sync::mpsc::UnboundedSender<()>,
    closed: mpsc::Receiver<()>,
}

impl Server {
    fn new(version2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (close, mut to_close) = tokio::sync::mpsc::unbounded_channel();
        let (has_closed, closed) = mpsc::channel();
        let serving = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let stop = to_close.recv();
                if serve(stream, version2, stop).await.is_none() {
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

    fn transport(&self, http2: bool) -> PooledTransport {
        let address = self.address;
        PooledTransport::over(tower::service_fn(move |_: Uri| async move {
            let stream = TcpStream::connect(address).await?;
            Ok::<_, std::io::Error>(Stream::new(stream, http2))
        }))
    }
}

/// Whether it ended because it was told to.
async fn serve(
    stream: TcpStream,
    version2: bool,
    stop: impl Future<Output = Option<()>>,
) -> Option<()> {
    let io = TokioIo::new(stream);
    let service =
        service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok"))) });
    let serving: Pin<Box<dyn Future<Output = ()> + Send>> = if version2 {
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
fn a_connection_that_ended_while_nobody_ran_the_runtime_is_not_used() {
    for (http2, spawned) in [(false, false), (false, true), (true, false), (true, true)] {
        let server = Server::new(http2);
        let transport = server.transport(http2);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let call = || {
            let transport = transport.clone();
            async move { exchange(&transport, URI).await }
        };
        for _ in 0..3 {
            runtime.block_on(async {
                if spawned {
                    tokio::spawn(call()).await.unwrap();
                } else {
                    call().await;
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

#[test]
fn without_io_a_call_is_an_error() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let client = Client::builder(SecretKey::new("sk_test_1").unwrap())
        .base_url("http://127.0.0.1:9".parse().unwrap())
        .build()
        .unwrap();
    let id = "act_1".parse().unwrap();
    let error = runtime.block_on(client.revoke(&id)).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Runtime, Outcome::NotSent)
    );
    assert_eq!(error.attempts(), 1);
    assert!(error.to_string().contains("enable_io"), "{error}");
}

#[test]
fn a_connection_that_another_runtime_drives_is_not_kept_for_this_one() {
    for world in [World::http1(), World::http2()] {
        let transport = world.transport();
        let (one, other) = (paused(), paused());
        let permits = world.hold_connecting();
        let mut call = Box::pin(exchange(&transport, URI));
        one.block_on(async { assert!(poll!(call.as_mut()).is_pending()) });
        // The call goes on where it was moved to. Nobody runs that any more after it.
        permits.add_permits(100);
        other.block_on(call);
        let next = async { timeout(Duration::from_secs(60), exchange(&transport, URI)).await };
        assert!(one.block_on(next).is_ok(), "HTTP/2: {}", world.http2);
    }
}

#[test]
fn a_call_that_began_to_connect_and_goes_on_where_there_is_no_runtime_is_an_error() {
    for http2 in [false, true] {
        let permits = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&permits);
        let mut transport = PooledTransport::over(tower::service_fn(move |_: Uri| {
            let gate = Arc::clone(&gate);
            async move {
                let _permit = gate.acquire().await?;
                let (ours, _) = tokio::io::duplex(1024);
                Ok::<_, BoxError>(Stream::new(ours, http2))
            }
        }));
        let mut call = pin!(transport.call(request(URI)));
        paused().block_on(async { assert!(poll!(call.as_mut()).is_pending()) });
        permits.add_permits(1);
        let polled = call.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(_))), "HTTP/2: {http2}");
    }
}

#[test]
fn a_call_where_there_is_no_runtime_is_an_error_over_either_transport() {
    let config = TransportConfig::default();
    let mut pooled = PooledTransport::new(&config).unwrap();
    let mut hyper = HyperTransport::new(&config).unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    let polled = pin!(pooled.call(request("http://127.0.0.1:9"))).poll(cx);
    assert!(matches!(polled, Poll::Ready(Err(_))));
    let polled = pin!(hyper.call(request("http://127.0.0.1:9"))).poll(cx);
    assert!(matches!(polled, Poll::Ready(Err(_))));
}
