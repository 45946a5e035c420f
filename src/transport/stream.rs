//! [`Stream`], a connection that detects a refused TLS handshake.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use http::uri::Authority;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

use super::tls;
use crate::lock;

/// A connection that fails with [`io::ErrorKind::ConnectionRefused`] if the server refuses the TLS handshake.
///
/// In TLS 1.3 the client ends the handshake first, so the server's alert may arrive after the request was
/// written. The server cannot have read the request. An alert after the server's first byte is not changed.
/// The error has its own kind, because HTTP/2 keeps only the kind and the text.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    /// `None` once the server has sent anything, or ended the connection.
    handshake: Option<Handshake>,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S, handshake: Handshake) -> Self {
        let handshake = Some(handshake);
        Self { inner, handshake }
    }
}

/// A handshake that the server may still refuse.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) server: Option<Authority>,
    pub(super) refusals: Refusals,
}

/// The servers that refused the latest TLS handshake, and their reasons.
///
/// If a connection ends before a request is written to it, hyper-util does not report the error of the
/// connection.
pub(super) type Refusals = Arc<Mutex<HashMap<Authority, String>>>;

impl<S: Read + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        let Some(Handshake { server, refusals }) = self.handshake.take() else {
            return Poll::Ready(read);
        };
        let reason = read.as_ref().err().and_then(tls::handshake_refusal);
        if let Some(server) = server {
            let mut refusals = lock(&refusals);
            match &reason {
                Some(reason) => refusals.insert(server, reason.clone()),
                None => refusals.remove(&server),
            };
        }
        Poll::Ready(match reason {
            Some(reason) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, reason)),
            None => read,
        })
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
    /// Leaves out the addresses, which hyper-util would copy into every response.
    fn connected(&self) -> Connected {
        match self.inner.connected().is_negotiated_h2() {
            true => Connected::new().negotiated_h2(),
            false => Connected::new(),
        }
    }
}
