//! The sandbox over TCP.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::{Sandbox, SandboxTransport, transport::disconnected};
use crate::BaseUrl;

/// How long the server waits after it could not accept a connection.
const PAUSE: Duration = Duration::from_secs(1);

impl Sandbox {
    /// Serves connections to `listener` over HTTP/1.1 or HTTP/2 without TLS, until the future is
    /// dropped. Dropping it ends the connections too.
    ///
    /// The links of tokens that are minted over it lead to the listener, which serves them. If no
    /// connection can be accepted, for example without free file descriptors, it tries again each second.
    ///
    /// # Errors
    ///
    /// When the listener does not know its address.
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = io::Result<()>> + use<> {
        self.serve_until(Shutdown::new(listener))
    }

    /// Serves on a free port of 127.0.0.1, in a task of the current runtime.
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
        let shutdown = Shutdown::new(listener);
        let closed = shutdown.closed.clone();
        tokio::spawn(closed.run_until_cancelled_owned(self.serve_until(shutdown.clone())));
        Ok(SandboxServer {
            addr,
            base_url,
            shutdown,
        })
    }

    fn serve_until(&self, shutdown: Shutdown) -> impl Future<Output = io::Result<()>> + use<> {
        let sandbox = self.clone();
        async move {
            let addr = match &*shutdown.listener() {
                Some(listener) => listener.local_addr()?,
                None => return Ok(()),
            };
            let transport = sandbox.with_front(&format!("http://{addr}")).transport();
            while let Some(accepted) = shutdown.accept().await {
                match accepted {
                    Ok(stream) => {
                        let closed = shutdown.closed.clone();
                        let connection = connection(transport.clone(), stream, closed.clone());
                        tokio::spawn(closed.run_until_cancelled_owned(connection));
                    }
                    // The peer disconnected before its turn.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => sleep(PAUSE).await,
                }
            }
            Ok(())
        }
    }
}

/// Closes the listener and ends all connections when a clone is dropped. That takes effect at once,
/// although the tasks of the server may still run on other threads.
#[derive(Clone, Debug)]
struct Shutdown {
    listener: Arc<Mutex<Option<TcpListener>>>,
    closed: CancellationToken,
}

impl Shutdown {
    fn new(listener: TcpListener) -> Self {
        Self {
            listener: Arc::new(Mutex::new(Some(listener))),
            closed: CancellationToken::new(),
        }
    }

    fn listener(&self) -> MutexGuard<'_, Option<TcpListener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a connection. Returns `None` once the listener is closed.
    async fn accept(&self) -> Option<io::Result<TcpStream>> {
        poll_fn(|cx| match &*self.listener() {
            Some(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| stream)
                .map(Some),
            None => Poll::Ready(None),
        })
        .await
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        *self.listener() = None;
        self.closed.cancel();
    }
}

async fn connection(transport: SandboxTransport, stream: TcpStream, closed: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut transport, closed) = (transport.clone(), closed.clone());
        async move {
            // Checked before each poll, because an HTTP/2 stream has a task of its own.
            let check = || {
                if closed.is_cancelled() {
                    return Err(disconnected());
                }
                Ok(())
            };
            check()?;
            let mut response = transport.call(request);
            poll_fn(|cx| {
                check()?;
                Pin::new(&mut response).poll(cx)
            })
            .await
        }
    });
    // Faults break connections on purpose, so the error is ignored.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A [`Sandbox`] that is served over TCP until this is dropped. From then on its port refuses
/// connections, and requests on open connections have no effect.
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
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct SandboxServer {
    addr: SocketAddr,
    base_url: BaseUrl,
    #[expect(dead_code, reason = "held for its destructor")]
    shutdown: Shutdown,
}

impl SandboxServer {
    /// Returns the base URL for clients, like `http://127.0.0.1:40123/v1`.
    #[must_use]
    pub fn base_url(&self) -> BaseUrl {
        self.base_url.clone()
    }

    /// Returns the address of the listener.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
