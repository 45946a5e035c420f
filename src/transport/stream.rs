//! [`Stream`], a connection that detects a refused TLS handshake.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

use super::tls;

/// A connection that fails with [`io::ErrorKind::ConnectionRefused`] if the server refuses the TLS handshake.
///
/// In TLS 1.3 the client ends the handshake first, so the server's alert may arrive after the request was
/// written. The server cannot have read the request. An alert after the server's first byte is not changed.
/// The error has its own kind, because HTTP/2 keeps only the kind and the text.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    /// Whether the server sent anything, or ended the connection.
    received: bool,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S) -> Self {
        let received = false;
        Self { inner, received }
    }
}

impl<S: Read + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        self.received = read.is_ok();
        Poll::Ready(read.map_err(|error| match tls::handshake_refusal(&error) {
            Some(reason) => io::Error::new(io::ErrorKind::ConnectionRefused, reason),
            None => error,
        }))
    }
}

impl<S: Write + Unpin> Write for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: Connection> Connection for Stream<S> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}
