//! Failures, and whether the request was sent.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::ready;
use http::{Request, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use pooled_transport::{Builder, Error, PooledTransport, ResponseBody};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::timeout,
};
use tower::{Service, ServiceExt};

use crate::world::{
    RequestBody, Signal, Stream, URI, World, connector, exchange, failing_request, request,
    run_tasks, try_exchange,
};

#[tokio::test(start_paused = true)]
async fn failure_of_the_connector_is_returned_at_once_as_a_connect_error() {
    let transport = PooledTransport::new(connector(async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Err(io::Error::other("no route"))
    }));
    let begun = tokio::time::Instant::now();
    let error = try_exchange(&transport, URI).await.unwrap_err();
    assert!(error.is_connect() && !error.may_have_been_sent());
    assert_eq!(error.source().unwrap().to_string(), "no route");
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn connection_closed_at_once_fails_the_request_before_it_is_sent() {
    for http2 in [false, true] {
        let transport = PooledTransport::new(connector(move || {
            let (client, _) = tokio::io::duplex(1 << 16);
            ready(Ok(Stream::new(client, http2)))
        }));
        let error = try_exchange(&transport, URI).await.unwrap_err();
        assert!(!error.may_have_been_sent(), "{error:?}");
        assert!(error.source().unwrap().is::<hyper::Error>());
    }
}

/// A connection that fails at the first read for which the function returns true.
struct Failing<F>(F);

impl<F: FnMut() -> bool + Unpin> AsyncRead for Failing<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        cx.waker().wake_by_ref();
        match (self.0)() {
            true => Poll::Ready(Err(io::Error::other("the cause"))),
            false => Poll::Pending,
        }
    }
}

impl<F: Unpin> AsyncWrite for Failing<F> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn is_named(error: &Error) -> bool {
    let mut sources = std::iter::successors(error.source(), |error| (*error).source());
    sources.any(|source| source.to_string() == "the cause")
}

#[tokio::test(start_paused = true)]
async fn cause_of_a_failed_new_connection_is_always_in_the_error() {
    for http2 in [false, true] {
        let mut kinds = Vec::new();
        for failing in 1..200 {
            let transport = PooledTransport::new(connector(move || {
                let mut reads = 0;
                let fails = move || {
                    reads += 1;
                    reads == failing
                };
                ready(Ok(Stream::new(Failing(fails), http2)))
            }));
            let error = try_exchange(&transport, URI).await.unwrap_err();
            assert!(is_named(&error), "HTTP/2: {http2}, {failing}: {error:?}");
            kinds.push(error.to_string());
        }
        for kind in ["before the request was sent", "before the response arrived"] {
            assert!(kinds.iter().any(|it| it.ends_with(kind)), "{kinds:?}");
        }
    }
}

/// An empty body that takes long to move.
struct Large {
    _bytes: [u8; LARGE],
}

const LARGE: usize = 1 << 18;

impl Body for Large {
    type Data = &'static [u8];
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Self::Data>>>> {
        Poll::Ready(None)
    }
}

/// Set directly before the connection takes the request.
#[derive(Clone, Default)]
struct Checked(Arc<AtomicBool>);

/// Returns the error of a request over a connection that fails `reads` reads after the request was checked.
async fn error_after_check(http2: bool, reads: usize) -> Error {
    let checked = Checked::default();
    let request = Request::post(URI).extension(checked.clone());
    let request = request.body(Large { _bytes: [0; LARGE] }).unwrap();
    let connect = move || {
        let (Checked(checked), mut reads) = (checked.clone(), reads);
        let fails = move || {
            let is_checked = checked.load(Ordering::Relaxed);
            reads -= usize::from(is_checked && reads > 0);
            is_checked && reads == 0
        };
        ready(Ok(Stream::new(Failing(fails), http2)))
    };
    let builder = Builder::new().before_send(|request: &Request<Large>| {
        let Checked(checked) = request.extensions().get().expect("it was added");
        checked.store(true, Ordering::Relaxed);
        Ok(())
    });
    let exchange = builder.build(connector(connect)).oneshot(request);
    let exchange = timeout(Duration::from_secs(5), exchange).await;
    exchange.expect("the exchange ends").unwrap_err()
}

// hyper's channel takes a large request slowly, so that the connection often ends meanwhile.
#[test]
fn connection_that_fails_while_it_takes_the_request_ends_the_exchange_with_the_cause() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(LARGE << 8)
        .enable_time()
        .build()
        .unwrap();
    let run = async {
        for (i, http2) in [false, true].repeat(200).into_iter().enumerate() {
            let error = error_after_check(http2, i / 2 % 100).await;
            assert!(is_named(&error), "HTTP/2: {http2}, {i}: {error:?}");
        }
    };
    runtime.block_on(runtime.spawn(run)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn request_with_a_failing_body_is_not_sent_over_http1() {
    let (client, mut server) = tokio::io::duplex(1 << 16);
    let client = Arc::new(Mutex::new(Some(client)));
    let transport = PooledTransport::new(connector(move || {
        let client = client.lock().unwrap().take().expect("one connection");
        async move { Ok(Stream::new(client, false)) }
    }));
    assert!(transport.oneshot(failing_request()).await.is_err());
    let mut received = Vec::new();
    server.read_to_end(&mut received).await.unwrap();
    assert!(received.is_empty());
}

#[tokio::test(start_paused = true)]
async fn request_with_a_failing_body_does_not_reach_the_service() {
    for world in World::both() {
        let transport = world.transport();
        exchange(&transport, URI).await;
        let failed = transport.clone().oneshot(failing_request()).await;
        let error = failed.unwrap_err();
        let mut sources = std::iter::successors(error.source(), |error| (*error).source());
        // Over HTTP/2 hyper reports only that it reset the stream.
        let is_named = sources.any(|source| source.to_string() == "withdrawn");
        assert_eq!(is_named, !world.http2, "{error:?}");
        run_tasks().await;
        exchange(&transport, URI).await;
        assert_eq!(world.requests().len(), 2, "HTTP/2: {}", world.http2);
    }
}

#[tokio::test(start_paused = true)]
async fn check_before_sending_refuses_the_request_and_keeps_the_connection() {
    for world in World::both() {
        let builder = Builder::new().before_send(|request: &Request<RequestBody>| {
            match request.uri().path() {
                "/refused" => Err("not this one".into()),
                _ => Ok(()),
            }
        });
        let transport = world.transport_of(builder);
        exchange(&transport, URI).await;
        let refused = transport
            .clone()
            .oneshot(request("http://127.0.0.1/refused"));
        let error = refused.await.unwrap_err();
        assert!(!error.may_have_been_sent());
        assert_eq!(error.source().unwrap().to_string(), "not this one");
        exchange(&transport, URI).await;
        assert_eq!((world.connected(), world.requests().len()), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn request_that_no_connection_can_send_is_refused() {
    let world = World::http1();
    let connect = Request::connect("http://example.com/");
    let relative = Request::get("/path");
    let old = Request::get(URI).version(Version::HTTP_09);
    let new = Request::get(URI).version(Version::HTTP_3);
    for head in [connect, relative, old, new] {
        let request = head.body(request(URI).into_body()).unwrap();
        let error = world.transport().oneshot(request).await.unwrap_err();
        assert!(!error.may_have_been_sent());
    }
    assert_eq!(world.connected(), 0);
}

#[tokio::test(start_paused = true)]
async fn http2_request_over_an_http1_connection_is_refused() {
    let world = World::http1();
    let transport = world.transport();
    let mut http2 = request(URI);
    *http2.version_mut() = Version::HTTP_2;
    assert!(transport.clone().oneshot(http2).await.is_err());
    exchange(&transport, URI).await;
    assert_eq!((world.connected(), world.requests().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn response_body_of_a_lost_connection_is_an_error() {
    for world in World::both() {
        let transport = world.transport();
        let response = transport.clone().call(request("http://127.0.0.1/gated"));
        let mut body = response.await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        world.signal(Signal::Close).await;
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.may_have_been_sent());
        assert!(error.source().unwrap().is::<hyper::Error>());
    }
}

#[tokio::test]
async fn default_response_body_is_empty() {
    let body = ResponseBody::default();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}
