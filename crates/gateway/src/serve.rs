//! Serves a router over HTTP/1.1 and HTTP/2: TLS, limits of connections and times, and a graceful end.
//!
//! [`serve`] is the accept loop of the binary; [`middleware`] puts layers around each request.
//!
//! ```no_run
//! use std::time::Duration;
//! use clerk_actor_tokens_gateway::{Config, Gateway, serve::{ServeOptions, middleware, serve}};
//! use tokio::{net::TcpListener, signal::ctrl_c};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::read("gateway.toml")?;
//! let listener = TcpListener::bind(config.server.listen).await?;
//! let (options, body_timeout) = (ServeOptions::new(&config.server)?, config.server.body_timeout);
//! let gateway = Gateway::open(config).await?;
//! let router = middleware(gateway.app(), body_timeout);
//! serve(listener, router, options, ctrl_c()).await?;
//! gateway.shutdown(Duration::from_secs(30)).await;
//! # Ok(())
//! # }
//! ```

mod connection;
mod middleware;
mod tls;

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use futures_util::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{interval_at, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::connection::Connection;
pub use self::{
    middleware::middleware,
    tls::{ServerTls, TlsError},
};
use crate::config::Server;

/// The backoff after a connection could not be accepted; it doubles up to [`MAX_BACKOFF`].
const BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// The time after which a further idle connection is closed, while there is no place.
const ROOM: Duration = Duration::from_millis(100);
/// The time between two log lines about connections that are still open after the end began.
const PROGRESS: Duration = Duration::from_secs(5);

/// How [`serve`] serves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The certificate. Without one, only listeners on loopback are served. Default: none.
    pub tls: Option<ServerTls>,
    /// Whether plain HTTP is served beyond loopback, such as for metrics. Default: false.
    pub plain_beyond_loopback: bool,
    /// The most connections at once. Once all places are taken, the connection that is idle for the longest is
    /// closed; further ones wait in the queue of the operating system. Default: 2048.
    pub max_connections: usize,
    /// The time for the head of a request, and for which a connection may be idle. Default: 100 s.
    pub head_timeout: Duration,
    /// The time for the requests in flight once `stop` is ready. Default: 35 s.
    pub grace: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let server = Server::default();
        Self {
            tls: None,
            plain_beyond_loopback: false,
            max_connections: server.max_connections,
            head_timeout: server.head_timeout,
            grace: server.grace,
        }
    }
}

impl ServeOptions {
    /// Takes the options from a configuration, and reads its certificate.
    ///
    /// # Errors
    ///
    /// When the certificate is unusable.
    pub fn new(server: &Server) -> Result<Self, TlsError> {
        Ok(Self {
            tls: server.tls.as_ref().map(ServerTls::read).transpose()?,
            plain_beyond_loopback: false,
            max_connections: server.max_connections,
            head_timeout: server.head_timeout,
            grace: server.grace,
        })
    }
}

/// How [`serve`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The connections that were cut because their requests outlasted the grace.
    pub cut: usize,
}

/// Serves until `stop` is ready. Then it closes the listener and idle connections, and lets the requests in
/// flight finish for [`grace`](ServeOptions::grace). Once it returns, no request of its connections runs.
///
/// # Errors
///
/// When the listener is not on loopback and there is no TLS, because keys would be sent in the clear.
///
/// # Cancel safety
///
/// Dropping the future closes the listener at once, and drops all requests soon after.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    stop: impl Future,
) -> io::Result<Served> {
    let is_plain = options.tls.is_none() && !options.plain_beyond_loopback;
    if is_plain && !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::other("plain HTTP is for loopback only"));
    }
    // HTTP/2 streams are tasks, too. They outlive their connection, so all of them are tracked and dropped.
    let (tasks, stopping, closed) = (
        TaskTracker::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    );
    let _close = closed.clone().drop_guard();
    let places = Arc::new(Semaphore::new(options.max_connections));
    let crowded = Arc::new(Notify::new());
    let accept = async {
        loop {
            let (stream, peer) = accept(&listener).await;
            // Not before: only a connection that is there may cost another one its place.
            let place = place(&places, &crowded).await;
            let connection = Connection {
                router: router.clone(),
                peer,
                tasks: tasks.clone(),
                stopping: stopping.clone(),
                closed: closed.clone(),
                crowded: Arc::clone(&crowded),
                head_timeout: options.head_timeout,
            };
            let tls = options.tls.as_ref().map(ServerTls::acceptor);
            let serving = closed
                .clone()
                .run_until_cancelled_owned(connection.serve(stream, tls));
            tasks.spawn(async move {
                let _place = place;
                serving.await
            });
        }
    };
    {
        let (accept, stop) = (pin!(accept), pin!(stop));
        tokio::select! {
            _ = stop => {}
            () = accept => {}
        }
    }
    drop(listener);
    stopping.cancel();
    tasks.close();
    let open = || options.max_connections - places.available_permits();
    let progress = async {
        let mut ticks = interval_at(tokio::time::Instant::now() + PROGRESS, PROGRESS);
        loop {
            ticks.tick().await;
            tracing::info!(connections = open(), "waiting for the requests in flight");
        }
    };
    let ended = async {
        tokio::select! {
            () = tasks.wait() => {}
            () = progress => {}
        }
    };
    let cut = match timeout(options.grace, ended).await {
        Ok(()) => 0,
        Err(_) => open(),
    };
    if cut > 0 {
        tracing::warn!(
            connections = cut,
            "cut the requests that outlasted the grace"
        );
    }
    closed.cancel();
    tasks.wait().await;
    Ok(Served { cut })
}

/// Returns a place for a connection. While there is none, idle connections are closed, so that a flood of them
/// stops neither a create nor an operator who ends it.
async fn place(places: &Arc<Semaphore>, crowded: &Notify) -> OwnedSemaphorePermit {
    let mut acquire = pin!(Arc::clone(places).acquire_owned());
    let mut wait = Duration::ZERO;
    loop {
        match timeout(wait, acquire.as_mut()).await {
            Ok(place) => {
                // If no connection was idle, the next one that is would be closed for nothing.
                let _ = crowded.notified().now_or_never();
                return place.expect("the semaphore is never closed");
            }
            // The woken one may get a request at the same time and keep its place.
            Err(_) => crowded.notify_one(),
        }
        wait = ROOM;
    }
}

/// Accepts a connection, however often that fails: without a free file descriptor, others may free one.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut backoff = BACKOFF;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, ?backoff, "could not accept a connection");
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
        }
    }
}

/// Returns whether the peer closed the connection before it was accepted.
fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
