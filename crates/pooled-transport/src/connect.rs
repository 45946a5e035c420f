//! [`connect`], which makes a connection and starts the task that drives it.

use std::{future::poll_fn, pin::Pin, time::Duration};

use http::Uri;
use http_body::Body;
use hyper::{
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::{
    client::legacy::connect::Connection,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::runtime::{Handle, Id};
use tower_service::Service;

use crate::{
    BoxError,
    error::{Error, Kind},
};

/// A new connection, ready for its first request.
pub(crate) enum Connected<B> {
    Http1(http1::SendRequest<B>),
    Http2(http2::SendRequest<B>),
    /// The caller moved to another runtime while it connected: no connection was made.
    Moved,
}

/// A connect in progress.
pub(crate) type Connecting<B> = Pin<Box<dyn Future<Output = Result<Connected<B>, Error>> + Send>>;

/// When HTTP/2 connections are probed by a ping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Duration,
}

/// Returns whether the caller runs on this runtime.
pub(crate) fn is_on(runtime: Id) -> bool {
    Handle::try_current().is_ok_and(|current| current.id() == runtime)
}

/// Connects to `uri` on `runtime`, by HTTP/2 if the connector negotiated it.
pub(crate) async fn connect<C, B>(
    mut connector: C,
    uri: Uri,
    runtime: Id,
    keep_alive: KeepAlive,
) -> Result<Connected<B>, Error>
where
    C: Service<Uri>,
    C::Response: Connection + Read + Write + Unpin + Send + 'static,
    C::Error: Into<BoxError>,
    B: Body<Data: Send, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    let failed = |error: C::Error| Error::new(Kind::Connect, error);
    let ended = |error: hyper::Error| Error::new(Kind::Handshake, error);
    poll_fn(|cx| connector.poll_ready(cx))
        .await
        .map_err(failed)?;
    let io = connector.call(uri).await.map_err(failed)?;
    // The runtime that drives the connection must be that of the pool which keeps it.
    if !is_on(runtime) {
        return Ok(Connected::Moved);
    }
    if io.connected().is_negotiated_h2() {
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(keep_alive.interval)
            .keep_alive_timeout(keep_alive.timeout)
            .handshake(io)
            .await
            .map_err(ended)?;
        tokio::spawn(async move { drop(connection.await) });
        sender.ready().await.map_err(ended)?;
        Ok(Connected::Http2(sender))
    } else {
        let (mut sender, connection) = http1::handshake(io).await.map_err(ended)?;
        tokio::spawn(async move { drop(connection.await) });
        sender.ready().await.map_err(ended)?;
        Ok(Connected::Http1(sender))
    }
}
