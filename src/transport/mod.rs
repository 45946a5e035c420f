//! The default transport: hyper-util's client over rustls, HTTP/1.1 and HTTP/2 by ALPN.
//!
//! Any other `Service<http::Request<Body>>` can stand in its place, see
//! [`ClientBuilder::transport`](crate::ClientBuilder::transport).

mod config;
mod connect;
#[cfg(feature = "pool")]
pub mod pool;
mod tls;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use pin_project_lite::pin_project;
use tower_service::Service;

pub(crate) use self::connect::ConnectTimedOut;
use self::connect::ConnectTimeout;
#[cfg(feature = "pool")]
pub use self::pool::PooledTransport;
pub use self::{config::TransportConfig, tls::TlsError};
use crate::{Body, BoxError, runtime};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(90);

/// hyper-util's client over rustls: a pool of connections, shared by all clones.
///
/// The connect phase (name resolution, TCP and TLS together) is bounded as a whole. Redirects are
/// not followed, nothing is decompressed, and proxy variables in the environment are ignored. Plain
/// HTTP is spoken where the URI says so, which [`BaseUrl`](crate::BaseUrl) allows for loopback only.
#[derive(Clone)]
pub struct HyperTransport {
    client: legacy::Client<Connector, Body>,
}

type Connector = ConnectTimeout<hyper_rustls::HttpsConnector<HttpConnector>>;

impl HyperTransport {
    /// A transport with connections of its own.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up: no cryptography provider, no root certificates, or one that is none.
    pub fn new(config: &TransportConfig) -> Result<Self, TlsError> {
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector(config)?);
        Ok(Self { client })
    }
}

/// Connects by TCP, and by TLS where the URI says so, within the time of the connect phase.
fn connector(config: &TransportConfig) -> Result<Connector, TlsError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Spread over the addresses of a host, so that a dead one leaves time for the next.
    tcp.set_connect_timeout(Some(config.connect_timeout));
    let tls = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls::config(&config.root_certificates)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(ConnectTimeout::new(tls, config.connect_timeout))
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport").finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for HyperTransport {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The pool is always ready, and it must run on a runtime to connect.
        Poll::Ready(runtime::current().map(drop).map_err(Into::into))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        ResponseFuture {
            inner: self.client.request(request),
        }
    }
}

pin_project! {
    /// An exchange, until the head of the answer.
    pub struct ResponseFuture {
        #[pin]
        inner: legacy::ResponseFuture,
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = self.project().inner.poll(cx);
        result
            .map_ok(|response| response.map(|inner| ResponseBody { inner }))
            .map_err(Into::into)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of an answer, as it comes.
    #[derive(Debug)]
    pub struct ResponseBody {
        #[pin]
        inner: Incoming,
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
