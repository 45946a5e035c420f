//! [`Host`], the connections of one runtime to one origin.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use http::HeaderValue;
use hyper::client::conn::{http1, http2};
use tokio::{
    runtime::Id,
    sync::{Notify, Semaphore},
    time::Instant,
};

use crate::{
    Error,
    connect::{Connected, Connecting, is_on},
};

/// After this time without use a connection may have ended unnoticed: a runtime that only runs inside of
/// `block_on`, or a suspended process, does not poll its sockets in between.
const RESTED: Duration = Duration::from_secs(1);

/// How many connects may go on after their callers took another connection or were cancelled.
const BACKGROUND: usize = 64;

/// The connections of one runtime to one origin: HTTP/1.1 connections, or a shared HTTP/2 connection.
pub(crate) struct Host<B> {
    runtime: Id,
    /// The value of the `Host` header.
    pub(crate) name: HeaderValue,
    idle_timeout: Duration,
    connections: Mutex<Connections<B>>,
    /// Notified when a connection became available.
    available: Notify,
    background: Arc<Semaphore>,
}

struct Connections<B> {
    /// HTTP/1.1 connections without a request in flight, in the order of their last use.
    idle: Vec<Idle<B>>,
    shared: Option<Shared<B>>,
    /// The number of HTTP/2 connections that were shared so far.
    shared_count: u64,
}

/// An HTTP/1.1 connection without a request in flight.
struct Idle<B> {
    sender: http1::SendRequest<B>,
    since: Instant,
}

/// The HTTP/2 connection that all requests share.
struct Shared<B> {
    sender: http2::SendRequest<B>,
    number: u64,
    used: Instant,
}

/// A connection for one exchange.
pub(crate) struct Checkout<B> {
    pub(crate) sender: Sender<B>,
    /// Whether it was in the pool before, so that it may have ended meanwhile.
    pub(crate) reused: bool,
}

pub(crate) enum Sender<B> {
    Http1(http1::SendRequest<B>),
    Http2 {
        sender: http2::SendRequest<B>,
        /// Identifies the connection in [`Host::retire`].
        number: u64,
    },
}

impl<B: Send + 'static> Host<B> {
    pub(crate) fn new(runtime: Id, name: HeaderValue, idle_timeout: Duration) -> Self {
        Self {
            runtime,
            name,
            idle_timeout,
            connections: Mutex::new(Connections {
                idle: Vec::new(),
                shared: None,
                shared_count: 0,
            }),
            available: Notify::new(),
            background: Arc::new(Semaphore::new(BACKGROUND)),
        }
    }

    /// Returns an open connection from the pool, or a new one, whichever is there first. `None` means that
    /// the caller moved to another runtime.
    ///
    /// # Cancel safety
    ///
    /// A connect that was started goes on in the background, and its connection is added to the pool.
    pub(crate) async fn checkout(
        self: &Arc<Self>,
        connect: impl Fn() -> Connecting<B>,
    ) -> Result<Option<Checkout<B>>, Error> {
        if self.has_rested() {
            // The runtime polls its sockets before it resumes this task. A connection that ended is closed
            // then, or its task returns the request unsent.
            tokio::task::yield_now().await;
        }
        let mut started = Started {
            host: self,
            connecting: None,
        };
        loop {
            // Created before the pool is searched, so that no notification is missed.
            let mut available = pin!(self.available.notified());
            available.as_mut().enable();
            if let Some(found) = self.take() {
                return Ok(Some(found));
            }
            let connecting = started.connecting.get_or_insert_with(&connect);
            let connected = poll_fn(|cx| match available.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => connecting.as_mut().poll(cx).map(Some),
            });
            if let Some(connected) = connected.await {
                started.connecting = None;
                return Ok(match connected? {
                    Connected::Http1(sender) => Some(Checkout {
                        sender: Sender::Http1(sender),
                        reused: false,
                    }),
                    Connected::Http2(sender) => Some(self.share(sender)),
                    Connected::Moved => None,
                });
            }
        }
    }

    fn take(&self) -> Option<Checkout<B>> {
        let now = Instant::now();
        let mut connections = self.lock();
        let sender = if let Some(shared) = connections.open_shared(now, self.idle_timeout) {
            shared.used = now;
            Sender::Http2 {
                sender: shared.sender.clone(),
                number: shared.number,
            }
        } else {
            loop {
                let idle = connections.idle.pop()?;
                if idle.is_open(now, self.idle_timeout) {
                    break Sender::Http1(idle.sender);
                }
            }
        };
        Some(Checkout {
            sender,
            reused: true,
        })
    }

    /// Shares a new HTTP/2 connection, unless there is one: then the new one is dropped.
    fn share(&self, sender: http2::SendRequest<B>) -> Checkout<B> {
        let now = Instant::now();
        let mut connections = self.lock();
        let reused = connections.open_shared(now, self.idle_timeout).is_some();
        if !reused {
            connections.shared_count += 1;
            connections.shared = Some(Shared {
                sender: sender.clone(),
                number: connections.shared_count,
                used: now,
            });
            self.available.notify_waiters();
        }
        let sender = match &connections.shared {
            Some(shared) => shared.sender.clone(),
            None => sender,
        };
        let number = connections.shared_count;
        Checkout {
            sender: Sender::Http2 { sender, number },
            reused,
        }
    }

    /// Uses a connection for no further request.
    pub(crate) fn retire(&self, sender: Sender<B>) {
        if let Sender::Http2 { number, .. } = sender {
            let mut connections = self.lock();
            connections.shared.take_if(|it| it.number == number);
        }
    }

    /// Adds an HTTP/1.1 connection to the pool as soon as its response was read to the end. An HTTP/2
    /// connection never left it.
    pub(crate) fn give_back(self: &Arc<Self>, sender: Sender<B>) {
        let Sender::Http1(mut sender) = sender else {
            return;
        };
        if sender.is_ready() {
            self.add(sender);
        } else if is_on(self.runtime) {
            let host = Arc::clone(self);
            tokio::spawn(async move {
                if sender.ready().await.is_ok() {
                    host.add(sender);
                }
            });
        }
    }

    fn add(&self, sender: http1::SendRequest<B>) {
        let since = Instant::now();
        self.lock().idle.push(Idle { sender, since });
        self.available.notify_one();
    }

    /// Drops the connections that ended or were idle for too long. Returns whether any is left.
    pub(crate) fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut connections = self.lock();
        let is_shared = connections.open_shared(now, self.idle_timeout).is_some();
        if !is_shared {
            connections.shared = None;
        }
        connections
            .idle
            .retain(|idle| idle.is_open(now, self.idle_timeout));
        is_shared || !connections.idle.is_empty()
    }

    fn has_rested(&self) -> bool {
        let connections = self.lock();
        let idle = connections.idle.last().map(|idle| idle.since);
        let shared = connections.shared.as_ref().map(|shared| shared.used);
        idle.max(shared).is_some_and(|used| used.elapsed() > RESTED)
    }

    fn finish_in_background(self: &Arc<Self>, connecting: Connecting<B>) {
        if !is_on(self.runtime) || self.lock().shared.is_some() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.background).try_acquire_owned() else {
            return;
        };
        let host = Arc::clone(self);
        tokio::spawn(async move {
            match connecting.await {
                Ok(Connected::Http1(sender)) => host.add(sender),
                Ok(Connected::Http2(sender)) => drop(host.share(sender)),
                Ok(Connected::Moved) | Err(_) => {}
            }
            drop(permit);
        });
    }

    fn lock(&self) -> MutexGuard<'_, Connections<B>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Connections<B> {
    fn open_shared(&mut self, now: Instant, idle_timeout: Duration) -> Option<&mut Shared<B>> {
        self.shared.as_mut().filter(|shared| {
            shared.sender.is_ready() && now.saturating_duration_since(shared.used) < idle_timeout
        })
    }
}

impl<B> Idle<B> {
    fn is_open(&self, now: Instant, idle_timeout: Duration) -> bool {
        self.sender.is_ready() && now.saturating_duration_since(self.since) < idle_timeout
    }
}

/// A connect that a caller waits for. Dropped before it ended, it goes on in the background.
struct Started<'a, B: Send + 'static> {
    host: &'a Arc<Host<B>>,
    connecting: Option<Connecting<B>>,
}

impl<B: Send + 'static> Drop for Started<'_, B> {
    fn drop(&mut self) {
        if let Some(connecting) = self.connecting.take() {
            self.host.finish_in_background(connecting);
        }
    }
}
