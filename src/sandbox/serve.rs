//! The sandbox over TCP.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
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
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tower_service::Service;

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
        self.serve_behind(Door::new(listener))
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
        let door = Door::new(listener);
        let task = tokio::spawn(self.serve_behind(door.clone())).abort_handle();
        Ok(SandboxServer {
            addr,
            base_url,
            door,
            task,
        })
    }

    fn serve_behind(&self, door: Door) -> impl Future<Output = io::Result<()>> + use<> {
        let sandbox = self.clone();
        // Outside of the future, so that it is shut by one that was never polled, too.
        let shut = ShutOnDrop(door);
        async move {
            let ShutOnDrop(door) = &shut;
            let front = format!("http://{}", door.addr()?);
            let transport = sandbox.with_front(&front).transport();
            let mut connections = JoinSet::new();
            while let Some(stream) = accept(door, &mut connections).await {
                connections.spawn(speak(transport.clone(), stream, door.clone()));
            }
            Ok(())
        }
    }
}

/// Where connections come in. Tasks that are aborted go on for a while, on other threads; once this is
/// shut, nobody is let in any more, and none of those inside is answered.
#[derive(Clone, Debug)]
struct Door(Arc<Mutex<Option<TcpListener>>>);

impl Door {
    fn new(listener: TcpListener) -> Self {
        Self(Arc::new(Mutex::new(Some(listener))))
    }

    fn listener(&self) -> MutexGuard<'_, Option<TcpListener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addr(&self) -> io::Result<SocketAddr> {
        match &*self.listener() {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// An error once it is shut.
    fn check(&self) -> io::Result<()> {
        match *self.listener() {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn shut(&self) {
        *self.listener() = None;
    }
}

struct ShutOnDrop(Door);

impl Drop for ShutOnDrop {
    fn drop(&mut self) {
        self.0.shut();
    }
}

/// How long nothing is accepted after that has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The next connection, until the door is shut. Those that have ended are cleared away meanwhile.
async fn accept(door: &Door, connections: &mut JoinSet<()>) -> Option<TcpStream> {
    loop {
        let accepted = poll_fn(|cx| {
            while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
            match &*door.listener() {
                Some(listener) => listener.poll_accept(cx).map(Some),
                None => Poll::Ready(None),
            }
        });
        match accepted.await? {
            Ok((stream, _)) => return Some(stream),
            // The peer was gone before it was its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn speak(transport: SandboxTransport, stream: TcpStream, door: Door) {
    let service = service_fn(move |request: Request<Incoming>| {
        // It is always ready.
        let (mut transport, door) = (transport.clone(), door.clone());
        async move {
            door.check()?;
            let mut answer = pin!(transport.call(request));
            poll_fn(|cx| {
                door.check()?;
                answer.as_mut().poll(cx)
            })
            .await
        }
    });
    // That a connection breaks is what some faults are for, and nobody else's concern.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A [`Sandbox`] that is served over TCP until this is dropped. From then on its port refuses
/// connections, and requests on those that there are meet nobody.
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
    door: Door,
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
        self.door.shut();
        self.task.abort();
    }
}
