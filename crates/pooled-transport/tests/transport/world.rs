//! Servers without sockets: a connection is a pipe to a server in the same process.

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
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::{TokioExecutor, TokioIo},
};
use pooled_transport::{Builder, Error, PooledTransport};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::{Notify, Semaphore},
};
use tower::Service;

pub(crate) const URI: &str = "http://127.0.0.1/path?a=b";

pub(crate) type Transport = PooledTransport<World, RequestBody>;

/// A request body that cannot be cloned.
#[derive(Debug, Default)]
pub(crate) struct RequestBody {
    bytes: Option<Bytes>,
    fails: bool,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.fails {
            return Poll::Ready(Some(Err(io::Error::other("withdrawn"))));
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.bytes.as_ref().map_or(0, |it| it.len() as u64))
    }
}

/// All servers, and what they saw.
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
    /// Connecting takes one of these permits.
    permits: Mutex<Option<Arc<Semaphore>>>,
    hang_up: Notify,
    go_away: Notify,
    silence: Notify,
    finish: Notify,
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

    pub(crate) fn both() -> [Self; 2] {
        [Self::http1(), Self::http2()]
    }

    pub(crate) fn transport(&self) -> Transport {
        Builder::new().build(self.clone())
    }

    /// The number of connections so far.
    pub(crate) fn connected(&self) -> usize {
        self.seen.connected.load(Ordering::SeqCst)
    }

    /// The number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<(Uri, HeaderMap)> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// From now on each connect waits for a permit.
    pub(crate) fn hold_connecting(&self) -> Arc<Semaphore> {
        let permits = Arc::new(Semaphore::new(0));
        *self.seen.permits.lock().unwrap() = Some(Arc::clone(&permits));
        permits
    }

    /// Closes all connections at the server, and lets the client notice.
    pub(crate) async fn hang_up(&self) {
        self.hang_up_unnoticed();
        settle().await;
    }

    /// Closes all connections at the server, before the client can notice.
    pub(crate) fn hang_up_unnoticed(&self) {
        self.seen.hang_up.notify_waiters();
    }

    /// Sends GOAWAY on all HTTP/2 connections.
    pub(crate) async fn go_away(&self) {
        self.seen.go_away.notify_waiters();
        settle().await;
    }

    /// From now on nothing arrives over the open connections, not even their end.
    pub(crate) async fn fall_silent(&self) {
        self.seen.silence.notify_waiters();
        settle().await;
    }

    /// Ends the bodies of all responses to `/gated`.
    pub(crate) async fn finish_bodies(&self) {
        self.seen.finish.notify_waiters();
        settle().await;
    }

    async fn serve(self, stream: DuplexStream) {
        self.seen.open.fetch_add(1, Ordering::SeqCst);
        let stream = TokioIo::new(stream);
        let seen = Arc::clone(&self.seen);
        let service = service_fn(move |request| respond(Arc::clone(&seen), request));
        let seen = Arc::clone(&self.seen);
        let mut serving: Pin<Box<dyn Future<Output = ()> + Send>> = if self.http2 {
            let server = http2::Builder::new(TokioExecutor::new());
            let mut connection = Box::pin(server.serve_connection(stream, service));
            Box::pin(async move {
                tokio::select! {
                    _ = &mut connection => return,
                    () = seen.go_away.notified() => connection.as_mut().graceful_shutdown(),
                }
                drop(connection.await);
            })
        } else {
            let connection = http1::Builder::new().serve_connection(stream, service);
            Box::pin(async move { drop(connection.await) })
        };
        tokio::select! {
            biased;
            () = self.seen.hang_up.notified() => {}
            () = self.seen.silence.notified() => pending().await,
            () = &mut serving => {}
        }
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// `/head` has no response, the body of `/endless` does not end, that of `/gated` ends on request, and `/421`
/// has that status.
async fn respond(seen: Arc<Seen>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    if body.collect().await.is_err() {
        return Err(io::Error::other("the request is incomplete"));
    }
    let path = parts.uri.path().to_owned();
    let requests = &seen.requests;
    requests.lock().unwrap().push((parts.uri, parts.headers));
    let begun = |rest: Pin<Box<dyn Future<Output = ()> + Send>>| {
        let frame = Ok(Frame::data(Bytes::from_static(b"ok")));
        let frames = stream::iter([frame])
            .chain(stream::once(rest).filter_map(|()| std::future::ready(None)));
        StreamBody::new(frames).boxed_unsync()
    };
    let mut response = Response::new(match path.as_str() {
        "/head" => pending().await,
        "/endless" => begun(Box::pin(pending())),
        "/gated" => {
            let seen = Arc::clone(&seen);
            begun(Box::pin(async move { seen.finish.notified().await }))
        }
        _ => Full::from("ok").boxed_unsync(),
    });
    if path == "/421" {
        *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    }
    Ok(response)
}

impl Service<Uri> for World {
    type Response = TokioIo<Stream<DuplexStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let world = self.clone();
        Box::pin(async move {
            let permits = world.seen.permits.lock().unwrap().clone();
            if let Some(permits) = permits {
                permits.acquire().await.unwrap().forget();
            }
            world.seen.connected.fetch_add(1, Ordering::SeqCst);
            let (client, server) = tokio::io::duplex(1 << 16);
            let http2 = world.http2;
            tokio::spawn(world.serve(server));
            Ok(Stream::new(client, http2))
        })
    }
}

/// The client's end of a connection.
pub(crate) struct Stream<I> {
    io: I,
    http2: bool,
}

impl<I> Stream<I> {
    pub(crate) fn new(io: I, http2: bool) -> TokioIo<Self> {
        TokioIo::new(Self { io, http2 })
    }
}

impl<I> Connection for Stream<I> {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.http2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Stream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Stream<I> {
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

pub(crate) fn request(uri: &str) -> Request<RequestBody> {
    let bytes = Some(Bytes::from_static(b"request"));
    let body = RequestBody {
        bytes,
        fails: false,
    };
    Request::post(uri).body(body).unwrap()
}

/// A request whose body fails when it is polled.
pub(crate) fn failing_request() -> Request<RequestBody> {
    let mut request = request(URI);
    request.body_mut().fails = true;
    request
}

/// Sends one request and reads its response to the end.
pub(crate) async fn try_exchange<C>(
    transport: &PooledTransport<C, RequestBody>,
    uri: &str,
) -> Result<StatusCode, Error>
where
    PooledTransport<C, RequestBody>: Service<
            Request<RequestBody>,
            Response = Response<pooled_transport::ResponseBody>,
            Error = Error,
        >,
{
    let response = transport.clone().call(request(uri)).await?;
    let status = response.status();
    let body = response.into_body().collect().await?;
    assert_eq!(body.to_bytes(), "ok");
    Ok(status)
}

/// The same, for a request that must succeed.
pub(crate) async fn exchange(transport: &Transport, uri: &str) {
    try_exchange(transport, uri).await.unwrap();
}

/// Lets all other tasks run until they wait.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
