//! Servers in the same process, over pipes, or over sockets if they run on another runtime.

use std::{
    convert::Infallible,
    future::pending,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::ready,
    stream::{self, iter, once},
};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use pooled_transport::{Builder, Error, PooledTransport};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Semaphore, watch},
};
use tower::{Service, util::BoxCloneSyncService};

pub(crate) const URI: &str = "http://127.0.0.1/path?a=b";

pub(crate) type Connector = BoxCloneSyncService<Uri, TokioIo<Stream>, io::Error>;
/// A request body that cannot be cloned.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Transport = PooledTransport<Connector, RequestBody>;

/// All servers, and a record of their connections and requests.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) http2: bool,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connected: AtomicUsize,
    open: AtomicUsize,
    requests: Mutex<Vec<(Uri, HeaderMap)>>,
    /// Each connect takes a permit.
    permits: Mutex<Option<Arc<Semaphore>>>,
    signals: watch::Sender<Signal>,
}

/// The next step of the servers on their open connections.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Signal {
    #[default]
    None,
    HangUp,
    /// Sends GOAWAY over HTTP/2.
    GoAway,
    /// Sends nothing more, not even the end of the connection.
    FallSilent,
    /// Ends the bodies of all responses to `/gated`.
    FinishBodies,
}

impl World {
    pub(crate) fn new(http2: bool) -> Self {
        let seen = Arc::default();
        Self { http2, seen }
    }

    pub(crate) fn http1() -> Self {
        Self::new(false)
    }

    pub(crate) fn http2() -> Self {
        Self::new(true)
    }

    pub(crate) fn both() -> [Self; 2] {
        [Self::http1(), Self::http2()]
    }

    pub(crate) fn transport(&self) -> Transport {
        PooledTransport::new(self.connector())
    }

    pub(crate) fn transport_of(&self, builder: Builder<RequestBody>) -> Transport {
        builder.build(self.connector())
    }

    fn connector(&self) -> Connector {
        let world = self.clone();
        connector(move || {
            let world = world.clone();
            async move {
                world.connect().await;
                let (client, server) = tokio::io::duplex(1 << 16);
                let http2 = world.http2;
                tokio::spawn(world.serve(server));
                Ok(Stream::new(client, http2))
            }
        })
    }

    /// Connects by TCP, to a server that runs on `remote`.
    pub(crate) fn transport_to(&self, remote: Handle) -> Transport {
        let world = self.clone();
        PooledTransport::new(connector(move || {
            let (world, remote) = (world.clone(), remote.clone());
            async move {
                world.connect().await;
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let client = TcpStream::connect(listener.local_addr()?).await?;
                let server = listener.accept().await?.0.into_std()?;
                let http2 = world.http2;
                remote
                    .spawn(async move { world.serve(TcpStream::from_std(server).unwrap()).await });
                Ok(Stream::new(client, http2))
            }
        }))
    }

    async fn connect(&self) {
        let permits = self.seen.permits.lock().unwrap().clone();
        if let Some(permits) = permits {
            permits.acquire().await.unwrap().forget();
        }
        self.seen.connected.fetch_add(1, Ordering::SeqCst);
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

    /// Signals all open connections, and lets the client read.
    pub(crate) async fn signal(&self, signal: Signal) {
        self.signal_unnoticed(signal);
        settle().await;
    }

    /// Signals all open connections. The client has not read yet.
    pub(crate) fn signal_unnoticed(&self, signal: Signal) {
        self.seen.signals.send_replace(signal);
    }

    async fn serve(self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let seen = &self.seen;
        seen.open.fetch_add(1, Ordering::SeqCst);
        let service = service_fn(|request| respond(Arc::clone(seen), request));
        let server = auto::Builder::new(TokioExecutor::new());
        let mut signals = seen.signals.subscribe();
        {
            let mut serving = pin!(server.serve_connection(TokioIo::new(io), service));
            while tokio::select! {
                biased;
                _ = signals.changed() => true,
                _ = serving.as_mut() => false,
            } {
                let signal = *signals.borrow_and_update();
                match signal {
                    Signal::HangUp => break,
                    Signal::GoAway => serving.as_mut().graceful_shutdown(),
                    Signal::FallSilent => pending().await,
                    Signal::None | Signal::FinishBodies => {}
                }
            }
        }
        seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `/head` has no response, the body of `/gated` ends on request, and `/421` has that status.
async fn respond(
    seen: Arc<Seen>,
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    body.collect().await?;
    let path = parts.uri.path().to_owned();
    let requests = &seen.requests;
    requests.lock().unwrap().push((parts.uri, parts.headers));
    let mut response = Response::new(match path.as_str() {
        "/head" => pending().await,
        "/gated" => {
            let mut signals = seen.signals.subscribe();
            let finished = async move {
                let finished = signals.wait_for(|it| *it == Signal::FinishBodies).await;
                finished.map(drop)
            };
            let begun = iter([Ok(Frame::data(Bytes::from_static(b"ok")))]);
            let rest = stream::pending().take_until(Box::pin(finished));
            StreamBody::new(begun.chain(rest)).boxed_unsync()
        }
        _ => Full::from("ok").boxed_unsync(),
    });
    if path == "/421" {
        *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    }
    Ok(response)
}

pub(crate) fn connector<F>(connect: impl Fn() -> F + Clone + Send + Sync + 'static) -> Connector
where
    F: Future<Output = io::Result<TokioIo<Stream>>> + Send + 'static,
{
    BoxCloneSyncService::new(tower::service_fn(move |_: Uri| connect()))
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<I: AsyncRead + AsyncWrite + Unpin + Send> Io for I {}

/// The client's end of a connection.
pub(crate) struct Stream {
    io: Box<dyn Io>,
    http2: bool,
}

impl Stream {
    pub(crate) fn new(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        http2: bool,
    ) -> TokioIo<Self> {
        let io = Box::new(io);
        TokioIo::new(Self { io, http2 })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        if self.http2 {
            Connected::new().negotiated_h2()
        } else {
            Connected::new()
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.io).poll_shutdown(cx)
    }
}

pub(crate) fn request(uri: &str) -> Request<RequestBody> {
    let body = Full::from("request").map_err(|never| match never {});
    Request::post(uri).body(body.boxed_unsync()).unwrap()
}

/// A request whose body fails when it is polled.
pub(crate) fn failing_request() -> Request<RequestBody> {
    let body = StreamBody::new(once(ready(Err(io::Error::other("withdrawn")))));
    Request::post(URI).body(body.boxed_unsync()).unwrap()
}

/// Sends one request and reads its response to the end.
pub(crate) async fn try_exchange(transport: &Transport, uri: &str) -> Result<StatusCode, Error> {
    let response = transport.clone().call(request(uri)).await?;
    let status = response.status();
    assert_eq!(response.into_body().collect().await?.to_bytes(), "ok");
    Ok(status)
}

/// Sends one request, which must succeed.
pub(crate) async fn exchange(transport: &Transport, uri: &str) {
    try_exchange(transport, uri).await.unwrap();
}

/// Lets all other tasks run until they wait.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
