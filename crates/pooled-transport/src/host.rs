//! [`Host`], the connections of one runtime to one origin.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use http::{HeaderValue, Uri};
use http_body::Body;
use hyper::{
    client::conn::{http1, http2},
    rt::{Executor, Read, Write},
};
use hyper_util::client::legacy::connect::Connection;
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    time::Instant,
};
use tower_service::Service;

use crate::{
    BoxError,
    error::{Error, Kind},
    link::{Driver, Link, Linked, LinkedIo},
    target::Origin,
};

/// After this time without use a connection may have ended unnoticed, because a suspended process, or a
/// runtime between two `block_on`, does not poll its sockets.
const RESTED: Duration = Duration::from_secs(1);

/// An HTTP/2 connection without a response for this time, although a request waits for one, may be dead. It takes
/// no further requests.
const SILENT: Duration = Duration::from_secs(2);

/// The limit of connects in the background, whose callers took another connection or were cancelled.
const BACKGROUND: usize = 64;

/// The connections of one runtime to one origin: HTTP/1.1 connections, or a shared HTTP/2 connection.
pub(crate) struct Host<B> {
    runtime: Handle,
    /// The URI that the connector connects to.
    uri: Uri,
    /// The value of the `Host` header.
    pub(crate) header: HeaderValue,
    idle_timeout: Duration,
    connections: Mutex<Connections<B>>,
    /// Notified when a connection becomes available.
    available: Notify,
    background: Arc<Semaphore>,
}

struct Connections<B> {
    /// HTTP/1.1 connections without a request in flight, the last used one last.
    idle: Vec<Idle<B>>,
    shared: Option<Shared<B>>,
    /// The number of HTTP/2 connections shared so far.
    shared_count: u64,
}

struct Idle<B> {
    sender: Linked<http1::SendRequest<B>>,
    used: Instant,
}

/// The HTTP/2 connection that all requests share.
struct Shared<B> {
    sender: Linked<http2::SendRequest<B>>,
    number: u64,
    used: Instant,
    /// The first request since the last response, if there is one.
    silent_since: Option<Instant>,
}

/// A connection for one exchange.
pub(crate) struct Checkout<B> {
    pub(crate) sender: Sender<B>,
    /// Identifies an HTTP/2 connection of the host. It is 0 for HTTP/1.1.
    pub(crate) number: u64,
    /// The task of a new connection. A connection from the pool has none, and may have ended meanwhile.
    pub(crate) driver: Option<Driver>,
}

pub(crate) enum Sender<B> {
    Http1(Linked<http1::SendRequest<B>>),
    Http2(Linked<http2::SendRequest<B>>),
}

/// Boxes hyper's tasks for HTTP/2, because tokio copies a task several times. This saves 3,800 instructions of
/// a create.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoxingExecutor;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for BoxingExecutor {
    fn execute(&self, future: F) {
        tokio::spawn(Box::pin(future));
    }
}

/// A connect in progress.
pub(crate) type Connecting<B> = Pin<Box<dyn Future<Output = Result<New<B>, Error>> + Send>>;

type New<B> = (Sender<B>, Driver);

impl<B: Send + 'static> Host<B> {
    pub(crate) fn new(
        runtime: Handle,
        origin: &Origin,
        idle_timeout: Duration,
    ) -> Result<Self, Error> {
        Ok(Self {
            runtime,
            uri: origin.uri()?,
            header: origin.host_header()?,
            idle_timeout,
            connections: Mutex::new(Connections {
                idle: Vec::new(),
                shared: None,
                shared_count: 0,
            }),
            available: Notify::new(),
            background: Arc::new(Semaphore::new(BACKGROUND)),
        })
    }

    /// Connects to the origin, by HTTP/2 if the connector negotiated it. The host's runtime drives the
    /// connection, even if another one polls the future.
    pub(crate) fn connect<C>(
        &self,
        mut connector: C,
        http2: http2::Builder<BoxingExecutor>,
    ) -> Connecting<B>
    where
        C: Service<Uri, Response: Connection + Read + Write + Unpin + Send> + Send + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        B: Body<Data: Send, Error: Into<BoxError>> + Unpin,
    {
        let (runtime, uri) = (self.runtime.clone(), self.uri.clone());
        Box::pin(async move {
            let failed = |error: C::Error| Error::new(Kind::Connect, error);
            let ended = |error: hyper::Error| Error::new(Kind::Handshake, error);
            poll_fn(|cx| connector.poll_ready(cx))
                .await
                .map_err(failed)?;
            let io = connector.call(uri).await.map_err(failed)?;
            let handshake = runtime.spawn(async move {
                let is_http2 = io.connected().is_negotiated_h2();
                let link = Arc::<Link>::default();
                let io = LinkedIo::new(io, &link);
                if is_http2 {
                    let (mut inner, connection) = http2.handshake(io).await.map_err(ended)?;
                    let driver = Driver::spawn(connection, &link, inner.ready()).await?;
                    Ok((Sender::Http2(Linked { inner, link }), driver))
                } else {
                    // One buffer for head and body saves 400 instructions of a create, 800 with TLS.
                    let http1 = http1::Builder::new().writev(false).handshake(io);
                    let (mut inner, connection) = http1.await.map_err(ended)?;
                    let driver = Driver::spawn(connection, &link, inner.ready()).await?;
                    Ok((Sender::Http1(Linked { inner, link }), driver))
                }
            });
            handshake
                .await
                .map_err(|error| Error::new(Kind::Runtime, error))?
        })
    }

    /// Returns an open connection from the pool or a new one, the first that is available.
    ///
    /// # Cancel safety
    ///
    /// A started connect goes on in the background, and its connection is added to the pool.
    pub(crate) async fn checkout(
        self: &Arc<Self>,
        connect: impl Fn() -> Connecting<B>,
    ) -> Result<Checkout<B>, Error> {
        let now = Instant::now();
        if self.has_rested(now) {
            // The runtime polls its sockets before it resumes this task. A connection that ended is then
            // closed, or its task returns the request unsent.
            tokio::task::yield_now().await;
        }
        if let Some(found) = self.take(now) {
            return Ok(found);
        }
        let mut started = Started {
            host: self,
            connecting: None,
        };
        loop {
            // Created before the pool is searched, so that no notification is missed.
            let mut available = pin!(self.available.notified());
            available.as_mut().enable();
            if let Some(found) = self.take(Instant::now()) {
                return Ok(found);
            }
            let connecting = started.connecting.get_or_insert_with(&connect);
            let connected = poll_fn(|cx| match available.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => connecting.as_mut().poll(cx).map(Some),
            });
            if let Some(connected) = connected.await {
                started.connecting = None;
                return connected.map(|new| self.admit(new));
            }
        }
    }

    fn take(&self, now: Instant) -> Option<Checkout<B>> {
        let mut connections = self.lock();
        if let Some(shared) = self.take_shared(&mut connections, now) {
            return Some(shared);
        }
        while let Some(Idle { sender, used }) = connections.idle.pop() {
            if sender.is_ready() && self.is_fresh(used, now) {
                return Some(Checkout {
                    sender: Sender::Http1(sender),
                    number: 0,
                    driver: None,
                });
            }
        }
        None
    }

    fn take_shared(&self, connections: &mut Connections<B>, now: Instant) -> Option<Checkout<B>> {
        let shared = connections.shared.as_mut()?;
        let silent_since = *shared.silent_since.get_or_insert(now);
        let is_silent = now.duration_since(silent_since) >= SILENT;
        if is_silent || !shared.sender.is_ready() || !self.is_fresh(shared.used, now) {
            return None;
        }
        shared.used = now;
        Some(Checkout {
            sender: Sender::Http2(shared.sender.clone()),
            number: shared.number,
            driver: None,
        })
    }

    /// Returns the new connection for an exchange. An HTTP/2 connection is shared from now on. It is dropped if
    /// there is a shared one already.
    fn admit(&self, (sender, driver): New<B>) -> Checkout<B> {
        let mut number = 0;
        if let Sender::Http2(new) = &sender {
            let now = Instant::now();
            let mut connections = self.lock();
            if let Some(shared) = self.take_shared(&mut connections, now) {
                return shared;
            }
            connections.shared_count += 1;
            number = connections.shared_count;
            connections.shared = Some(Shared {
                sender: new.clone(),
                number,
                used: now,
                silent_since: Some(now),
            });
            self.available.notify_waiters();
        }
        Checkout {
            sender,
            number,
            driver: Some(driver),
        }
    }

    /// Stops the use of the HTTP/2 connection with this number.
    pub(crate) fn retire(&self, number: u64) {
        self.lock().shared.take_if(|it| it.number == number);
    }

    /// Adds an HTTP/1.1 connection to the pool when its response is read to the end. An HTTP/2 connection is
    /// still in the pool, and no longer silent.
    pub(crate) fn give_back(self: &Arc<Self>, sender: Sender<B>, number: u64) {
        let Sender::Http1(mut sender) = sender else {
            let mut connections = self.lock();
            let shared = connections.shared.as_mut();
            if let Some(shared) = shared.filter(|it| it.number == number) {
                shared.silent_since = None;
            }
            return;
        };
        if sender.is_ready() {
            return self.add(sender);
        }
        let host = Arc::clone(self);
        self.runtime.spawn(async move {
            if sender.inner.ready().await.is_ok() {
                host.add(sender);
            }
        });
    }

    fn add(&self, sender: Linked<http1::SendRequest<B>>) {
        let used = Instant::now();
        self.lock().idle.push(Idle { sender, used });
        self.available.notify_one();
    }

    /// Drops the connections that ended or were idle for too long. Returns whether any is left.
    pub(crate) fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut connections = self.lock();
        let Connections { idle, shared, .. } = &mut *connections;
        shared.take_if(|it| !it.sender.is_ready() || !self.is_fresh(it.used, now));
        idle.retain(|it| it.sender.is_ready() && self.is_fresh(it.used, now));
        shared.is_some() || !idle.is_empty()
    }

    fn is_fresh(&self, used: Instant, now: Instant) -> bool {
        now.duration_since(used) < self.idle_timeout
    }

    fn has_rested(&self, now: Instant) -> bool {
        let connections = self.lock();
        let idle = connections.idle.last().map(|idle| idle.used);
        let shared = connections.shared.as_ref().map(|shared| shared.used);
        idle.max(shared)
            .is_some_and(|used| now.duration_since(used) > RESTED)
    }

    fn lock(&self) -> MutexGuard<'_, Connections<B>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connect with a waiting caller. If it is dropped before its end, it goes on in the background.
struct Started<'a, B: Send + 'static> {
    host: &'a Arc<Host<B>>,
    connecting: Option<Connecting<B>>,
}

impl<B: Send + 'static> Drop for Started<'_, B> {
    fn drop(&mut self) {
        let (host, background) = (Arc::clone(self.host), Arc::clone(&self.host.background));
        if let (Some(connecting), Ok(permit)) =
            (self.connecting.take(), background.try_acquire_owned())
        {
            if host.lock().shared.is_none() {
                self.host.runtime.spawn(async move {
                    if let Ok(new) = connecting.await {
                        let Checkout { sender, number, .. } = host.admit(new);
                        host.give_back(sender, number);
                    }
                    drop(permit);
                });
            }
        }
    }
}
