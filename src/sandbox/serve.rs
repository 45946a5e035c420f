//! The sandbox over TCP.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower_service::Service;

use super::{Sandbox, SandboxTransport, fault::disconnected};
use crate::{BaseUrl, lock};

/// The wait after a failed `accept`.
const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);
/// Further connections wait in the backlog of the operating system.
const MAX_CONNECTIONS: usize = 1024;
/// The timeout for the head of a request, and for an idle HTTP/1.1 connection. Common clients close idle
/// connections after 90 s.
const HEAD_TIMEOUT: Duration = Duration::from_secs(100);

impl Sandbox {
    /// Serves HTTP/1.1 and HTTP/2, and the links of the tokens that it mints. Dropping the future closes
    /// all connections.
    ///
    /// Listen on loopback only, because there is no TLS and the key is not secret. It serves at most 1024
    /// connections at once, and closes a connection that sends nothing for 100 s, or over HTTP/1.1 no
    /// complete head within 100 s. After a failed `accept` it tries again after a second.
    ///
    /// # Errors
    ///
    /// When the local address of the listener is unavailable.
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = io::Result<()>> + use<> {
        let sandbox = self.clone();
        async move {
            let origin = format!("http://{}", listener.local_addr()?).into();
            let transport = Sandbox { origin, ..sandbox }.transport();
            let closed = CancellationToken::new();
            let _close_connections = closed.clone().drop_guard();
            let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            loop {
                let permit = Arc::clone(&permits).acquire_owned().await;
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let connection = connection(transport.clone(), stream, closed.clone());
                        let connection = closed.clone().run_until_cancelled_owned(connection);
                        tokio::spawn(async move {
                            let _permit = permit;
                            connection.await
                        });
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => sleep(ACCEPT_BACKOFF).await,
                }
            }
        }
    }

    /// [Serves](Self::serve) on a free port of 127.0.0.1, in a task of the current runtime.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub async fn spawn(&self) -> io::Result<SandboxServer> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let base_url = format!("http://{addr}").parse().map_err(io::Error::other)?;
        let serving: Arc<Serving> = Arc::new(Mutex::new(Some(Box::pin(self.serve(listener)))));
        let task = tokio::spawn({
            let serving = Arc::clone(&serving);
            poll_fn(move |cx| match &mut *lock(&serving) {
                Some(future) => future.as_mut().poll(cx).map(drop),
                None => Poll::Ready(()),
            })
        });
        Ok(SandboxServer {
            addr,
            base_url,
            serving,
            _task: AbortOnDropHandle::new(task),
        })
    }
}

/// The future of [`Sandbox::serve`], until it is dropped.
type Serving = Mutex<Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>>;

async fn connection(transport: SandboxTransport, stream: TcpStream, closed: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let closed = closed.clone();
        let mut response = (!closed.is_cancelled()).then(|| transport.clone().call(request));
        // Checked at each poll, because hyper spawns a task for each HTTP/2 stream.
        poll_fn(move |cx| match &mut response {
            Some(response) if !closed.is_cancelled() => Pin::new(response).poll(cx),
            _ => Poll::Ready(Err(disconnected())),
        })
    });
    // hyper-util waits for the first bytes without a timeout.
    let Ok(Ok(_)) = timeout(HEAD_TIMEOUT, stream.peek(&mut [0])).await else {
        return;
    };
    let mut http = auto::Builder::new(TokioExecutor::new());
    let mut http1 = http.http1();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    // Faults break connections on purpose, so the error is ignored.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// A [`Sandbox`] that is served over TCP until this is dropped. Then its port refuses connections, and
/// requests on open connections have no effect.
///
/// ```
/// use clerk_actor_tokens::{Actor, Client, CreateActorToken, sandbox::Sandbox};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sandbox = Sandbox::new();
/// let server = sandbox.spawn().await?;
/// # #[cfg(feature = "transport")]
/// # {
/// let client = Client::builder(sandbox.secret_key()).base_url(server.base_url()).build()?;
/// let token = client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
/// client.revoke(token.id()).await?;
/// assert_eq!(sandbox.ledger().revoked().count(), 1);
/// # }
/// # Ok(())
/// # }
/// ```
#[must_use = "the server ends when this is dropped"]
pub struct SandboxServer {
    addr: SocketAddr,
    base_url: BaseUrl,
    serving: Arc<Serving>,
    _task: AbortOnDropHandle<()>,
}

impl SandboxServer {
    /// Returns the base URL for clients, like `http://127.0.0.1:40123/v1`.
    pub fn base_url(&self) -> BaseUrl {
        self.base_url.clone()
    }

    /// Returns the address of the listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SandboxServer {
    /// Closes the listener at once, because aborting the task takes effect later.
    fn drop(&mut self) {
        *lock(&self.serving) = None;
    }
}

crate::text::opaque_debug!(SandboxServer, |it| addr: it.addr);
