//! [`Http2`], the one connection of HTTP/2 that all exchanges with a host share.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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

use super::{
    IDLE, PoolError,
    kept::{Kept, RESTED},
};
use crate::Body;

/// How long nothing may come by a connection that is waited for, before others are asked by a new one.
/// Its path may be dead without anybody knowing it, and an exchange that is given up says nothing of that.
const SILENT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Http2 {
    shared: Mutex<Option<Shared>>,
    /// Whether an exchange ended since one was begun.
    heard: AtomicBool,
    /// Whether there is one. Most hosts that speak HTTP/1.1 never had any, and this tells it at a glance.
    any: AtomicBool,
    published: Notify,
}

struct Shared {
    sender: SendRequest<Body>,
    used: Instant,
    /// When it was used first since an exchange ended.
    asked: Instant,
}

impl Shared {
    fn idle_at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.used)
    }
}

impl Http2 {
    /// The connection, if there is one, for who sends a request now, and has or has not `looked`.
    pub(super) fn begin(&self, looked: bool) -> Kept<SendRequest<Body>> {
        if !self.any.load(Ordering::Acquire) {
            return Kept::Ended;
        }
        let now = Instant::now();
        let mut shared = self.lock();
        match shared.as_mut().filter(|shared| self.is_open(shared, now)) {
            None => Kept::Ended,
            Some(open) if !looked && open.idle_at(now) > RESTED => Kept::Rested,
            Some(open) => {
                open.used = now;
                if self.heard.load(Ordering::Relaxed) {
                    self.heard.store(false, Ordering::Relaxed);
                    open.asked = now;
                }
                Kept::Open(open.sender.clone())
            }
        }
    }

    /// An exchange has ended, well or not.
    pub(super) fn note_heard(&self) {
        if !self.heard.load(Ordering::Relaxed) {
            self.heard.store(true, Ordering::Relaxed);
        }
    }

    fn is_open(&self, shared: &Shared, now: Instant) -> bool {
        let is_silent = || now.saturating_duration_since(shared.asked) >= SILENT;
        shared.sender.is_ready()
            && shared.idle_at(now) < IDLE
            && (self.heard.load(Ordering::Relaxed) || !is_silent())
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
        if let Kept::Open(sender) = self.begin(true) {
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
            if let Some(first) = shared.as_ref().filter(|shared| self.is_open(shared, now)) {
                return Ok(first.sender.clone());
            }
            *shared = Some(Shared {
                sender: sender.clone(),
                used: now,
                asked: now,
            });
            self.heard.store(false, Ordering::Relaxed);
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
            .is_some_and(|shared| !self.is_open(shared, now))
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
