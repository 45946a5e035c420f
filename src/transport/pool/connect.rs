//! [`Connect`], which makes connections to one host, of whichever version it chooses.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, Write};
use tokio::runtime::Handle;
use tower_service::Service;

use super::{
    PoolError,
    http1::Http1,
    http2::{Http2, Published},
};
use crate::{BoxError, runtime};

/// A byte stream to a host, as a connector makes it.
pub trait Connection: Read + Write + Unpin + Send + 'static {
    /// Whether HTTP/2 was agreed on, as by ALPN; otherwise HTTP/1.1 is spoken.
    fn is_http2(&self) -> bool;
}

/// Why a cache of HTTP/1.1 got no connection.
pub(super) enum NoHttp1 {
    /// The host speaks HTTP/2, by this connection.
    Http2(Published),
    /// The call that connects goes on elsewhere than where it began, and the connection would be driven
    /// there, but kept here.
    Moved,
    Failed(BoxError),
}

impl NoHttp1 {
    fn failed(error: PoolError) -> Self {
        Self::Failed(error.into())
    }
}

/// Fills the cache of one host.
pub(super) struct Connect<C> {
    connector: C,
    uri: Uri,
    http2: Arc<Http2>,
}

impl<C> Connect<C> {
    pub(super) fn new(connector: C, uri: Uri, http2: Arc<Http2>) -> Self {
        Self {
            connector,
            uri,
            http2,
        }
    }
}

impl<C> Service<()> for Connect<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Response: Connection,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = Http1;
    type Error = NoHttp1;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoHttp1>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoHttp1>> {
        // Each call readies a connector of its own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let (mut connector, uri) = (self.connector.clone(), self.uri.clone());
        let http2 = Arc::clone(&self.http2);
        Box::pin(async move {
            let begun = runtime::current().map_err(|error| NoHttp1::Failed(error.into()))?;
            let failed = |error: C::Error| NoHttp1::Failed(PoolError::connect(error.into()).into());
            poll_fn(|cx| connector.poll_ready(cx))
                .await
                .map_err(failed)?;
            let io = connector.call(uri).await.map_err(failed)?;
            if Handle::try_current().map(|here| here.id()).ok() != Some(begun.id()) {
                return Err(NoHttp1::Moved);
            }
            if io.is_http2() {
                let published = http2.publish(io).await;
                return Err(published.map_or_else(NoHttp1::failed, NoHttp1::Http2));
            }
            Http1::handshake(io).await.map_err(NoHttp1::failed)
        })
    }
}
