//! [`Link`], the state that a connection shares with its senders.

use std::{
    io,
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::task::JoinHandle;

use crate::{
    BoxError,
    error::{Error, Kind},
};

/// The state that a connection shares with its senders.
#[derive(Default)]
pub(crate) struct Link {
    /// Locked while a request is passed to the connection, and while the connection is dropped. hyper's channel
    /// keeps a request that is passed while its receiver is dropped, so that the exchange would never end.
    passing: Mutex<()>,
    /// The first error of the I/O. hyper drops it if it notices first that the HTTP/2 connection ended.
    failure: Mutex<Option<io::Error>>,
}

/// A sender that passes no request while its connection is dropped.
#[derive(Clone)]
pub(crate) struct Linked<S> {
    pub(crate) inner: S,
    pub(crate) link: Arc<Link>,
}

impl<S> Linked<S> {
    pub(crate) fn pass<R>(&mut self, pass: impl FnOnce(&mut S) -> R) -> R {
        let _passing = lock(&self.link.passing);
        pass(&mut self.inner)
    }
}

impl<S> Deref for Linked<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.inner
    }
}

/// The task that drives a connection.
pub(crate) struct Driver {
    task: JoinHandle<hyper::Result<()>>,
    link: Arc<Link>,
}

impl Driver {
    /// Spawns a new connection, and waits until its sender is `ready`.
    pub(crate) async fn spawn<C>(
        connection: C,
        link: &Arc<Link>,
        ready: impl Future<Output = hyper::Result<()>>,
    ) -> Result<Self, Error>
    where
        C: Future<Output = hyper::Result<()>> + Send + Unpin + 'static,
    {
        let connection = LinkedConnection {
            connection: Some(connection),
            link: Arc::clone(link),
        };
        let driver = Self {
            task: tokio::spawn(connection),
            link: Arc::clone(link),
        };
        match ready.await {
            Ok(()) => Ok(driver),
            Err(error) => Err(Error::new(Kind::Handshake, driver.cause(error).await)),
        }
    }

    /// Returns the error of a connection that ended, because that of its sender does not say why.
    pub(crate) async fn cause(self, of_sender: hyper::Error) -> BoxError {
        match (self.task.await, lock(&self.link.failure).take()) {
            (Ok(Err(cause)), _) => cause.into(),
            (_, Some(failure)) => failure.into(),
            _ => of_sender.into(),
        }
    }
}

/// A connection that is dropped while no request is passed to it.
struct LinkedConnection<C> {
    /// `None` only while it is dropped.
    connection: Option<C>,
    link: Arc<Link>,
}

impl<C: Future<Output = hyper::Result<()>> + Unpin> Future for LinkedConnection<C> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.connection {
            Some(connection) => Pin::new(connection).poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<C> Drop for LinkedConnection<C> {
    fn drop(&mut self) {
        let _passing = lock(&self.link.passing);
        self.connection = None;
    }
}

/// The I/O of a connection. Records its first error.
pub(crate) struct LinkedIo<T> {
    io: T,
    link: Arc<Link>,
}

impl<T> LinkedIo<T> {
    pub(crate) fn new(io: T, link: &Arc<Link>) -> Self {
        let link = Arc::clone(link);
        Self { io, link }
    }

    fn record<R>(&self, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if let Poll::Ready(Err(error)) = &result {
            lock(&self.link.failure)
                .get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
        }
        result
    }
}

impl<T: Read + Unpin> Read for LinkedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.record(read)
    }
}

impl<T: Write + Unpin> Write for LinkedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.record(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.record(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.record(written)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
