//! [`PooledTransport`], over hyper's connections and hyper-util's composable pool.
//!
//! What an exchange needs to know of its host was prepared once, and a connection is given back where
//! an answer's body ends, without a task for that.

mod background;
mod connect;
mod error;
mod exchange;
mod home;
mod host;
mod hosts;
mod http1;
mod http2;
#[cfg(all(test, clerk_loom))]
mod in_every_order;
mod kept;
mod patient;
mod stream;
mod target;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tower_service::Service;

pub use self::{connect::Connection, error::PoolError};
use self::{
    exchange::{Exchange, Exchanging},
    host::Loan,
    stream::Connector,
};
use super::{IDLE, TlsError, TransportConfig};
use crate::{Body, BoxError};

/// The default transport: a pool of connections over rustls, which all clones share. One of HTTP/2 for
/// each host that agrees to it by ALPN, else of HTTP/1.1, as many as there are exchanges at once. Where a
/// call got one that was given back, the one that it began to make is kept, too.
///
/// The connect phase (name resolution, TCP and TLS together) is bounded as a whole. Redirects are
/// not followed, nothing is decompressed, and there is no proxy, whatever the environment says, unless
/// the configuration names one. Plain HTTP is spoken where the URI says so, which
/// [`BaseUrl`](crate::BaseUrl) allows for loopback only.
///
/// A connection is used again once an answer's body was read to its end. It is not used any more 90 s
/// after its last exchange began, and closed within 5 s of that. A request that was not begun to be
/// written when a kept connection ended goes over another one; before a connection that was not used for
/// more than 1 s is, the runtime is given a turn, in which it hears whether that has ended.
///
/// A connection of HTTP/2 that gave no answer for 5 s, while one is waited for, is used no more by calls
/// that begin then: they make another one, for its path may be dead.
///
/// Each tokio runtime has connections of its own: they end with it, and stand still while nobody runs it.
/// One client can serve several at once, and they share everything but those.
///
/// # Cancel safety
///
/// An exchange that is dropped closes its connection of HTTP/1.1, or resets its stream of HTTP/2.
#[derive(Clone)]
pub struct PooledTransport {
    pool: Arc<dyn Exchange>,
}

impl PooledTransport {
    /// A transport with connections of its own.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up: no cryptography provider, no root certificates, or one that is none.
    pub fn new(config: &TransportConfig) -> Result<Self, TlsError> {
        let connector = super::connector(config)?;
        Ok(Self::over(Connector::new(connector)))
    }

    /// A transport over connections that `connector` makes, to the scheme, name and port of the URI
    /// that it is called with. It bounds the time that this takes.
    #[must_use]
    pub fn over<C>(connector: C) -> Self
    where
        C: Service<Uri, Response: Connection, Error: Into<BoxError>, Future: Send + 'static>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let pool = hosts::pool(connector);
        Self { pool }
    }
}

impl fmt::Debug for PooledTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledTransport").finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for PooledTransport {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The pool is always ready. To connect it must run on a runtime, and finds out when it does.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        ResponseFuture {
            inner: Arc::clone(&self.pool).exchange(request),
        }
    }
}

/// An exchange, until the head of the answer.
pub struct ResponseFuture {
    inner: Exchanging,
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The body of an answer, as it comes. Dropped before its end it closes its connection of HTTP/1.1.
pub struct ResponseBody {
    inner: Incoming,
    /// The connection of HTTP/1.1 that it comes by, until its end.
    loan: Option<Box<dyn Loan>>,
}

impl ResponseBody {
    fn over_http1(inner: Incoming, loan: Box<dyn Loan>) -> Self {
        let mut body = Self {
            inner,
            loan: Some(loan),
        };
        body.end_if_over();
        body
    }

    fn over_http2(inner: Incoming) -> Self {
        Self { inner, loan: None }
    }

    fn end_if_over(&mut self) {
        if self.inner.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(loan) = self.loan.take() {
            loan.end();
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => self.end_if_over(),
            Some(Err(_)) => self.loan = None,
            None => self.end(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
