//! [`Connection`], one connection: its handshake, its HTTP version, and when it is closed.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo, response::Response};
use http::Request;
use hyper::{
    body::Incoming,
    rt::{Executor, Read, Write},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// The time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The time for which a connection that is to close may be without a request in flight. hyper closes an idle
/// connection at once, so this is for half a head and for a peer that does not read its response.
const LINGER: Duration = Duration::from_secs(5);
/// The bytes of an HTTP/1.1 head, and of an HTTP/2 header list.
const MAX_HEAD: u32 = 32 * 1024;
/// The requests at once on an HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// An HTTP/2 peer that stopped in the middle of a frame cannot respond to a ping, so this limits slow heads.
const PING: Duration = Duration::from_secs(30);

/// One connection.
pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) peer: SocketAddr,
    /// Counts the tasks of HTTP/2 streams.
    pub(super) tasks: TaskTracker,
    /// No further request is wanted.
    pub(super) stopping: CancellationToken,
    /// Every request is dropped.
    pub(super) closed: CancellationToken,
    /// Wakes the connection that is idle for the longest, because another one needs its place.
    pub(super) crowded: Arc<Notify>,
    pub(super) head_timeout: Duration,
}

impl Connection {
    pub(super) async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let peer = self.peer;
        // Responses are small, and their last packet must not wait for an acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "could not set TCP_NODELAY");
        }
        let Some(tls) = tls else {
            return self.serve_http(TokioIo::new(stream), None).await;
        };
        let handshake = timeout(HANDSHAKE.min(self.head_timeout), tls.accept(stream));
        let stream = tokio::select! {
            stream = handshake => stream,
            () = self.stopping.cancelled() => return,
            () = self.crowded.notified() => return,
        };
        match stream {
            Ok(Ok(stream)) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.serve_http(TokioIo::new(stream), Some(is_http2)).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
        }
    }

    /// Serves requests. Without `is_http2` the first bytes show the version.
    async fn serve_http<I>(self, io: I, is_http2: Option<bool>)
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let Self { peer, router, .. } = self;
        let in_flight = InFlight::default();
        let service = {
            let in_flight = in_flight.clone();
            service_fn(move |mut request: Request<Incoming>| {
                let (router, one) = (router.clone(), in_flight.enter());
                request.extensions_mut().insert(ConnectInfo(peer));
                async move {
                    let _one = one;
                    let response: Result<Response, Infallible> = router.oneshot(request).await;
                    response
                }
            })
        };
        let streams = Streams {
            tasks: self.tasks,
            closed: self.closed,
        };
        let mut http = auto::Builder::new(streams);
        http.http1()
            .timer(TokioTimer::new())
            // The head timeout is below, for both versions.
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD as usize);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD)
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(PING);
        let http = match is_http2 {
            Some(true) => http.http2_only(),
            Some(false) => http.http1_only(),
            None => http,
        };
        let mut connection = pin!(http.serve_connection(io, service));
        // Detecting the version has no timeout of its own, and neither has an idle HTTP/2 connection.
        let linger = tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = self.stopping.cancelled() => LINGER,
            () = in_flight.none_for(self.head_timeout) => LINGER.min(self.head_timeout),
            () = in_flight.none_until(&self.crowded) => Duration::ZERO,
        };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            // A broken connection concerns its peer only. Its calls are settled and in the audit.
            _ = connection => {}
            () = in_flight.none_for(linger) => {}
        }
    }
}

/// The requests of a connection that have no response yet. Clones share them.
#[derive(Clone, Default)]
struct InFlight(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
struct One(InFlight);

impl InFlight {
    fn enter(&self) -> One {
        self.0.send_modify(|count| *count += 1);
        One(self.clone())
    }

    /// Completes once there was none for this time.
    async fn none_for(&self, time: Duration) {
        self.none_during(|| sleep(time)).await;
    }

    /// Completes once there is none and this connection is the first to be woken.
    async fn none_until(&self, crowded: &Notify) {
        self.none_during(|| crowded.notified()).await;
    }

    /// Completes once the wait completes without a request in between. Each request begins a new wait.
    async fn none_during<W: Future>(&self, wait: impl Fn() -> W) {
        let mut changes = self.0.subscribe();
        loop {
            // The sender is in `self`.
            let _ = changes.wait_for(|count| *count == 0).await;
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                _ = wait() => return,
            }
        }
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// Spawns the streams of an HTTP/2 connection, so that they end with the server.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    closed: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let closed = self.closed.clone();
        self.tasks.spawn(closed.run_until_cancelled_owned(stream));
    }
}
