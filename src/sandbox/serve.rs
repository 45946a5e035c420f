//! The sandbox over TCP.

use std::{future::poll_fn, io, net::SocketAddr, task::Poll, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tower::ServiceExt;

use super::{Sandbox, SandboxTransport};
use crate::BaseUrl;

impl Sandbox {
    /// Serves whoever connects to `listener`, over HTTP/1.1 or HTTP/2 without TLS, until the future
    /// is dropped. Connections die with it.
    ///
    /// The links of tokens that are minted over it lead to the listener, which answers them, too. Where
    /// no connection can be accepted, as in a process out of file descriptors, it tries again each second.
    ///
    /// # Errors
    ///
    /// When the listener does not know its address.
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = io::Result<()>> + use<> {
        let sandbox = self.clone();
        async move {
            let front = format!("http://{}", listener.local_addr()?);
            let transport = sandbox.with_front(&front).transport();
            let mut connections = JoinSet::new();
            loop {
                let stream = accept(&listener, &mut connections).await;
                connections.spawn(speak(transport.clone(), stream));
            }
        }
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
        let task = tokio::spawn(self.serve(listener)).abort_handle();
        Ok(SandboxServer {
            addr,
            base_url,
            task,
        })
    }
}

/// How long nothing is accepted after that has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The next connection. Those that have ended are cleared away meanwhile.
async fn accept(listener: &TcpListener, connections: &mut JoinSet<()>) -> TcpStream {
    loop {
        let accepted = poll_fn(|cx| {
            while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
            listener.poll_accept(cx)
        });
        match accepted.await {
            Ok((stream, _)) => return stream,
            // The peer was gone before it was its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn speak(transport: SandboxTransport, stream: TcpStream) {
    let service = service_fn(move |request| transport.clone().oneshot(request));
    // That a connection breaks is what some faults are for, and nobody else's concern.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A [`Sandbox`] that is served over TCP until this is dropped.
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
    task: AbortHandle,
}

impl SandboxServer {
    /// Where clients find it, like `http://127.0.0.1:40123/v1`.
    #[must_use]
    pub fn base_url(&self) -> BaseUrl {
        self.base_url.clone()
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SandboxServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
