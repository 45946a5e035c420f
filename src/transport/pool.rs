//! [`PooledTransport`], the default transport.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body as _;
use tower_service::Service;

pub use pooled_transport::{Error as PoolError, ResponseBody, ResponseFuture};

use super::{Connector, TlsError, TransportConfig};
use crate::{Body, BoxError, Withdrawn};

/// The default transport: connections over rustls in a pool that all clones share, by HTTP/2 where the
/// server agrees to it, else by HTTP/1.1.
///
/// It follows no redirects, decompresses nothing, and uses a proxy only if [`TransportConfig`] names one.
/// Plain HTTP connects to loopback addresses only, even if `localhost` resolves to others. A response with
/// status 421 retires its connection. An HTTP/2 connection without a response for 2 s, although a request waits
/// for one, takes no further requests. Each tokio runtime has its own connections, so that one client can
/// serve several.
///
/// # Errors
///
/// If an idle connection ended before the request was sent, the request goes over another connection. Any
/// other failure is a [`PoolError`], as is a call outside of a tokio runtime. A runtime without I/O or timers
/// panics: build it with `enable_all`.
///
/// # Cancel safety
///
/// A cancelled exchange closes its HTTP/1.1 connection, or resets its HTTP/2 stream.
#[derive(Clone, Debug)]
pub struct PooledTransport {
    inner: pooled_transport::PooledTransport<Connector, Body>,
}

impl PooledTransport {
    /// Creates a transport with its own connections.
    ///
    /// # Errors
    ///
    /// If there is no cryptography provider, no root certificate, or an invalid one.
    pub fn new(config: &TransportConfig) -> Result<Self, TlsError> {
        let inner = pooled_transport::Builder::new()
            .idle_timeout(config.pool_idle_timeout)
            .http2_keep_alive_interval(config.http2_keep_alive_interval.flatten())
            .http2_keep_alive_timeout(config.http2_keep_alive_timeout)
            .before_send(check_not_withdrawn)
            .build(super::connector(config)?);
        Ok(Self { inner })
    }
}

/// Refuses an attempt that was withdrawn while it connected. Takes an empty body, because hyper does not poll
/// one over HTTP/1.1.
fn check_not_withdrawn(request: &Request<Body>) -> Result<(), BoxError> {
    let body = request.body();
    if body.is_empty() && body.is_end_stream() || !body.is_empty() && body.may_be_sent() {
        return Ok(());
    }
    Err(Withdrawn(()).into())
}

impl Service<Request<Body>> for PooledTransport {
    type Response = Response<ResponseBody>;
    type Error = PoolError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PoolError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        self.inner.call(request)
    }
}
