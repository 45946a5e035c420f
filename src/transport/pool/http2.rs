//! [`Http2`], the one connection of HTTP/2 that all exchanges with a host share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
    /// Whether there is one. Most hosts that speak HTTP/1.1 never had any, and this tells it at a glance.
    any: AtomicBool,
    published: Notify,
}

struct Shared {
    sender: Sender,
    used: Instant,
    /// When it was used first since an exchange ended.
    asked: Instant,
}

/// What sends requests by the connection.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) requests: SendRequest<Body>,
    /// Whether an exchange ended since one was begun.
    heard: Arc<AtomicBool>,
}

impl Sender {
    /// An exchange has ended, well or not.
    pub(super) fn note_heard(&self) {
        if !self.has_heard() {
            self.heard.store(true, Ordering::Relaxed);
        }
    }

    fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// For who sends a request now.
    fn begin(&mut self, now: Instant) -> Sender {
        self.used = now;
        if self.sender.has_heard() {
            self.sender.heard.store(false, Ordering::Relaxed);
            self.asked = now;
        }
        self.sender.clone()
    }

    fn is_open(&self, now: Instant) -> bool {
        let is_silent = || now.saturating_duration_since(self.asked) >= SILENT;
        self.sender.requests.is_ready()
            && self.idle_at(now) < IDLE
            && (self.sender.has_heard() || !is_silent())
    }

    fn idle_at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.used)
    }
}

impl Http2 {
    /// The connection, if there is one, for who sends a request now, and has or has not `looked`.
    pub(super) fn begin(&self, looked: bool) -> Kept<Sender> {
        if !self.any.load(Ordering::Acquire) {
            return Kept::Ended;
        }
        let now = Instant::now();
        let mut shared = self.lock();
        match shared.as_mut().filter(|shared| shared.is_open(now)) {
            None => Kept::Ended,
            Some(open) if !looked && open.idle_at(now) > RESTED => Kept::Rested,
            Some(open) => Kept::Open(open.begin(now)),
        }
    }

    /// Ends when somebody made a connection since this was called.
    pub(super) fn published(&self) -> Notified<'_> {
        self.published.notified()
    }

    /// Makes `io` the connection, unless somebody was faster: then `io` is closed again, and the connection
    /// was there before.
    pub(super) async fn publish<I>(&self, io: I) -> Result<Published, PoolError>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        if let Kept::Open(sender) = self.begin(true) {
            return Ok(Published::before(sender));
        }
        let (requests, connection) = Builder::new(Boxing)
            .timer(TokioTimer::new())
            // Boxed, for every task of an exchange has room for it.
            .handshake(Box::new(io))
            .await
            .map_err(PoolError::handshake)?;
        let sender = Sender {
            requests,
            heard: Arc::default(),
        };
        {
            let now = Instant::now();
            let mut shared = self.lock();
            if let Some(first) = shared.as_mut().filter(|shared| shared.is_open(now)) {
                return Ok(Published::before(first.begin(now)));
            }
            *shared = Some(Shared {
                sender: sender.clone(),
                used: now,
                asked: now,
            });
            self.any.store(true, Ordering::Release);
        }
        // Whoever has an exchange under way hears of its end by that.
        tokio::spawn(async move { drop(connection.await) });
        self.published.notify_waiters();
        Ok(Published {
            sender,
            reused: false,
        })
    }

    /// Closes the connection if nobody used it for long. Whether there is one left.
    pub(super) fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut shared = self.lock();
        if shared.as_ref().is_some_and(|shared| !shared.is_open(now)) {
            *shared = None;
            self.any.store(false, Ordering::Release);
        }
        shared.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shared>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection, by whomever it was made.
pub(super) struct Published {
    pub(super) sender: Sender,
    /// Whether it was there before, so that it may have ended meanwhile.
    pub(super) reused: bool,
}

impl Published {
    pub(super) fn before(sender: Sender) -> Self {
        Self {
            sender,
            reused: true,
        }
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
