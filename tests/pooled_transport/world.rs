//! Hosts without sockets: a connection is a pipe to a server in the same process.

use std::{
    convert::Infallible,
    future::pending,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, OperationKind,
    transport::{PooledTransport, pool},
};
use futures_util::stream;
use http::{HeaderMap, Request, Response, Uri, header::HOST};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    sync::Notify,
};
use tower::Service;

/// All hosts, and what they saw.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) http2: bool,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connected: AtomicUsize,
    open: AtomicUsize,
    requests: Mutex<Vec<(Uri, HeaderMap)>>,
    /// Connecting waits for this many permits of the test.
    held: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
    hang_up: Notify,
    silence: Notify,
}

impl World {
    pub(crate) fn http1() -> Self {
        Self::default()
    }

    pub(crate) fn http2() -> Self {
        Self {
            http2: true,
            ..Self::default()
        }
    }

    pub(crate) fn transport(&self) -> PooledTransport {
        PooledTransport::over(self.clone())
    }

    /// How many connections were made so far.
    pub(crate) fn connected(&self) -> usize {
        self.seen.connected.load(Ordering::SeqCst)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<(Uri, HeaderMap)> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// From now on connecting waits for permits.
    pub(crate) fn hold_connecting(&self) -> Arc<tokio::sync::Semaphore> {
        let permits = Arc::new(tokio::sync::Semaphore::new(0));
        *self.seen.held.lock().unwrap() = Some(Arc::clone(&permits));
        permits
    }

    /// Closes all connections from the server's side.
    pub(crate) async fn hang_up(&self) {
        self.hang_up_unseen();
        settle().await;
    }

    /// The same, before anybody has the time to see it.
    pub(crate) fn hang_up_unseen(&self) {
        self.seen.hang_up.notify_waiters();
    }

    /// From now on nothing comes by the connections there are, not even an end.
    pub(crate) async fn fall_silent(&self) {
        self.seen.silence.notify_waiters();
        settle().await;
    }

    async fn serve(self, stream: DuplexStream) {
        self.seen.open.fetch_add(1, Ordering::SeqCst);
        let stream = TokioIo::new(stream);
        let seen = Arc::clone(&self.seen);
        let service = service_fn(move |request| answer(Arc::clone(&seen), request));
        let mut serving: Pin<Box<dyn Future<Output = ()> + Send>> = if self.http2 {
            let connection =
                http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service);
            Box::pin(async move { drop(connection.await) })
        } else {
            let connection = http1::Builder::new().serve_connection(stream, service);
            Box::pin(async move { drop(connection.await) })
        };
        tokio::select! {
            () = &mut serving => {}
            () = self.seen.hang_up.notified() => {}
            () = self.seen.silence.notified() => pending().await,
        }
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// `/head` has no answer, the one to `/body` does not end, any other is `ok`.
async fn answer(seen: Arc<Seen>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let _ = body.collect().await;
    let path = parts.uri.path().to_owned();
    seen.requests
        .lock()
        .unwrap()
        .push((parts.uri, parts.headers));
    let frame = Ok(Frame::data(Bytes::from_static(b"ok")));
    let body = match path.as_str() {
        "/head" => pending().await,
        "/body" => {
            let rest = stream::once(pending());
            let frames = futures_util::StreamExt::chain(stream::once(async { frame }), rest);
            StreamBody::new(frames).boxed_unsync()
        }
        _ => http_body_util::Full::from("ok").boxed_unsync(),
    };
    Ok(Response::new(body))
}

impl Service<Uri> for World {
    type Response = Stream<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let world = self.clone();
        Box::pin(async move {
            let held = world.seen.held.lock().unwrap().clone();
            if let Some(permits) = held {
                permits.acquire().await.unwrap().forget();
            }
            world.seen.connected.fetch_add(1, Ordering::SeqCst);
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let http2 = world.http2;
            tokio::spawn(world.serve(theirs));
            Ok(Stream::new(ours, http2))
        })
    }
}

/// The client's end of a connection.
pub(crate) struct Stream<I> {
    io: TokioIo<I>,
    http2: bool,
}

impl<I> Stream<I> {
    pub(crate) fn new(io: I, http2: bool) -> Self {
        let io = TokioIo::new(io);
        Self { io, http2 }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> pool::Connection for Stream<I> {
    fn is_http2(&self) -> bool {
        self.http2
    }
}

impl<I: AsyncRead + Unpin> Read for Stream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> Write for Stream<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

pub(crate) fn request(uri: &str) -> Request<Body> {
    let body = Body::new(OperationKind::Create, r#"{"user_id":"user_1"}"#);
    Request::post(uri).body(body).unwrap()
}

/// One exchange, read to its end.
pub(crate) async fn exchange(transport: &PooledTransport, uri: &str) {
    let answer = transport.clone().call(request(uri)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
}

/// Lets everybody else go on, until they wait.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(crate) use http::header;

/// The `Host` headers of what was seen.
pub(crate) fn hosts(world: &World) -> Vec<String> {
    let requests = world.requests();
    let host = |(_, headers): &(Uri, HeaderMap)| headers[HOST].to_str().unwrap().to_owned();
    requests.iter().map(host).collect()
}
