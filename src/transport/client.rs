//! [`HyperTransport`], over hyper-util's client.
//!
//! ```
//! # fn build() -> Result<(), Box<dyn std::error::Error>> {
//! use clerk_actor_tokens::{Client, SecretKey, transport::{HyperTransport, TransportConfig}};
//!
//! let transport = HyperTransport::new(&TransportConfig::default())?;
//! let client = Client::builder(SecretKey::new("sk_test_key")?)
//!     .transport(transport)
//!     .build()?;
//! # Ok(())
//! # }
//! ```

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
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Connector, IDLE, TlsError, TransportConfig};
use crate::{Body, BoxError, runtime};

/// How long a connection of HTTP/2 may be silent while it is waited for, before the peer is asked for a
/// sign of life; and how long the peer has to give one. Without that a connection whose path is dead
/// would be used by one call after the other.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// hyper-util's client over rustls, with its own pool of connections, which all clones share.
///
/// It does most of what [`PooledTransport`](super::PooledTransport), the default, does, and is there for
/// comparison, and for who prefers the client that most programs run on. All runtimes share its
/// connections, so that it should be used from one: what another one drives stands still with it, and
/// ends with it. While nobody runs that runtime, as between one `block_on` and the next, it does not hear
/// of the end of a connection either, and a call may be lost to one that has ended.
#[derive(Clone)]
pub struct HyperTransport {
    client: legacy::Client<Connector, Body>,
}

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
            .http2_keep_alive_interval(SIGN_OF_LIFE)
            .http2_keep_alive_timeout(SIGN_OF_LIFE)
            .http1_writev(false)
            .build(super::connector(config)?);
        Ok(Self { client })
    }
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
