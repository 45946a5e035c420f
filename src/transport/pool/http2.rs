//! [`Http2`], the one connection of HTTP/2 that all exchanges with a host share.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use hyper::{
    client::conn::http2::{Builder, SendRequest},
    rt::{Executor, Read, Write},
};
use hyper_util::rt::TokioTimer;
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{IDLE, PoolError};
use crate::Body;

#[derive(Default)]
pub(super) struct Http2 {
    shared: Mutex<Option<Shared>>,
    /// Whether there is one. Most hosts that speak HTTP/1.1 never had any, and this tells it at a glance.
    any: AtomicBool,
    published: Notify,
}

struct Shared {
    sender: SendRequest<Body>,
    used: Instant,
}

impl Shared {
    fn is_open_at(&self, now: Instant) -> bool {
        self.sender.is_ready() && now.saturating_duration_since(self.used) < IDLE
    }
}

impl Http2 {
    /// The connection, if there is one that is open.
    pub(super) fn get(&self) -> Option<SendRequest<Body>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let now = Instant::now();
        let mut shared = self.lock();
        let open = shared.as_mut().filter(|shared| shared.is_open_at(now))?;
        open.used = now;
        Some(open.sender.clone())
    }

    /// Ends when somebody made a connection since this was called.
    pub(super) fn published(&self) -> Notified<'_> {
        self.published.notified()
    }

    /// Makes `io` the connection, unless somebody was faster: then `io` is closed again.
    pub(super) async fn publish<I>(&self, io: I) -> Result<SendRequest<Body>, PoolError>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        if let Some(sender) = self.get() {
            return Ok(sender);
        }
        let (sender, connection) = Builder::new(Boxing)
            .timer(TokioTimer::new())
            // Boxed, for every task of an exchange has room for it.
            .handshake(Box::new(io))
            .await
            .map_err(PoolError::handshake)?;
        {
            let now = Instant::now();
            let mut shared = self.lock();
            if let Some(first) = shared.as_ref().filter(|shared| shared.is_open_at(now)) {
                return Ok(first.sender.clone());
            }
            *shared = Some(Shared {
                sender: sender.clone(),
                used: now,
            });
            self.any.store(true, Ordering::Release);
        }
        // Whoever has an exchange under way hears of its end by that.
        tokio::spawn(async move { drop(connection.await) });
        self.published.notify_waiters();
        Ok(sender)
    }

    /// Closes the connection if nobody used it for long. Whether there is one left.
    pub(super) fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut shared = self.lock();
        if shared
            .as_ref()
            .is_some_and(|shared| !shared.is_open_at(now))
        {
            *shared = None;
            self.any.store(false, Ordering::Release);
        }
        shared.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shared>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs hyper's tasks, two for each exchange. They share a type that has room for the task of the whole
/// connection, and tokio moves a task several times: what it moves is a box.
#[derive(Clone, Copy)]
struct Boxing;

impl<F> Executor<F> for Boxing
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        tokio::spawn(Box::pin(task));
    }
}
