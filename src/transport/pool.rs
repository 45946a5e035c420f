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
/// [`TransportConfig`] has the time limits. Redirects are not followed, nothing is decompressed, and there is
/// no proxy unless the configuration names one. Plain HTTP connects to loopback addresses only, even if
/// `localhost` resolves to others.
///
/// Each tokio runtime has its own connections, so that one client can serve several, and one can end without
/// the others. A response with status 421 retires its connection.
///
/// # Errors
///
/// A request that was not sent, because its idle connection had ended, goes over another connection. Any
/// other failure is a [`PoolError`], also outside of a tokio runtime. A runtime without I/O or timers panics:
/// build it with `enable_all`.
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
            .http2_keep_alive_interval(config.http2_keep_alive_interval)
            .http2_keep_alive_timeout(config.http2_keep_alive_timeout)
            .before_send(check_not_withdrawn)
            .build(super::connector(config)?);
        Ok(Self { inner })
    }
}

/// Fails if the attempt was withdrawn while it connected. An empty body is taken here, because hyper may
/// send it over HTTP/1.1 without polling it.
fn check_not_withdrawn(request: &Request<Body>) -> Result<(), BoxError> {
    let body = request.body();
    if body.is_empty() && body.is_end_stream() || !body.is_empty() && body.may_be_sent() {
        return Ok(());
    }
    Err(Withdrawn::new().into())
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
