//! The TCP connector, and a limit on the time to connect.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    net::{TcpStream, lookup_host},
    runtime::Handle,
};
use tower::ServiceExt;
use tower_service::Service;

use super::stream::{Handshake, Refusals, Stream};
use crate::BoxError;

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Connects by TCP, through a proxy if the host has one. Connects plain HTTP to loopback only.
#[derive(Clone)]
pub(super) struct Tcp {
    pub(super) inner: HttpConnector,
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<super::Proxy>,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<TokioIo<TcpStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if uri.scheme() == Some(&Scheme::HTTP) {
            return Box::pin(connect_to_loopback(uri));
        }
        #[cfg(feature = "proxy")]
        if let Some(tunnel) = self.proxy.as_ref().and_then(|proxy| proxy.tunnel(&uri)) {
            let connecting = super::proxy::connect(self.inner.clone(), tunnel, uri);
            return Box::pin(async move { Ok(connecting.await.map_err(ConnectError::from)?) });
        }
        let connecting = self.inner.clone().oneshot(uri);
        Box::pin(async move { Ok(connecting.await?) })
    }
}

async fn connect_to_loopback(uri: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let resolved = lookup_host((host, uri.port_u16().unwrap_or(80))).await;
    let addresses = loopback(resolved.map_err(ConnectError::Unresolved)?)?;
    let stream = TcpStream::connect(&*addresses).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// Keeps the loopback addresses of a host.
fn loopback(resolved: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, ConnectError> {
    let is_loopback = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    let addresses: Vec<_> = resolved.filter(is_loopback).collect();
    if addresses.is_empty() {
        return Err(ConnectError::NotLoopback);
    }
    Ok(addresses)
}

/// Limits the time to connect: name resolution, TCP and TLS together.
#[derive(Clone, Debug)]
pub(super) struct ConnectTimeout<C> {
    pub(super) inner: C,
    pub(super) limit: Duration,
    pub(super) refusals: Refusals,
}

impl<C> Service<Uri> for ConnectTimeout<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = Stream<C::Response>;
    type Error = BoxError;
    // hyper-util's client requires `Unpin`.
    type Future = BoxFuture<Stream<C::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let handshake = Handshake {
            server: uri.authority().cloned(),
            refusals: self.refusals.clone(),
        };
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            Handle::try_current()?;
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => Ok(Stream::new(connected.map_err(Into::into)?, handshake)),
                Err(_) => Err(ConnectError::TimedOut(limit).into()),
            }
        })
    }
}

/// The error of connecting. The request was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("connecting took longer than {0:?}")]
    TimedOut(Duration),
    #[error("the host name could not be resolved")]
    Unresolved(#[source] io::Error),
    #[error("{0}")]
    HandshakeRefused(String),
    #[error("plain HTTP is used for loopback only, and the host has another address: use https")]
    NotLoopback,
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    NoTunnel(#[from] super::proxy::NoTunnel),
}

impl ConnectError {
    /// Returns whether the configuration is wrong, so that a retry would fail, too.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            #[cfg(feature = "proxy")]
            Self::NoTunnel(failure) => failure.is_permanent(),
            _ => matches!(self, Self::HandshakeRefused(_) | Self::NotLoopback),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, vec};

    use hyper_util::client::legacy::connect::dns::Name;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn name_that_never_resolves_fails_at_the_limit() {
        let limit = Duration::from_secs(3);
        let begun = tokio::time::Instant::now();
        let resolver =
            tower::service_fn(|_: Name| pending::<Result<vec::IntoIter<SocketAddr>, BoxError>>());
        let inner = HttpConnector::new_with_resolver(resolver);
        let refusals = Refusals::default();
        let mut connector = ConnectTimeout {
            inner,
            limit,
            refusals,
        };
        let connecting = connector.call(Uri::from_static("http://api.clerk.com"));
        let error = connecting.await.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "connecting took longer than 3s");
        assert_eq!(begun.elapsed(), limit);
    }

    #[test]
    fn host_keeps_its_loopback_addresses_only() {
        let addresses = |hosts: &[&str]| -> Vec<SocketAddr> {
            let parse = |host: &&str| format!("{host}:80").parse().unwrap();
            hosts.iter().map(parse).collect()
        };
        let ours = ["127.0.0.1", "[::1]", "127.9.9.9", "[::ffff:127.0.0.1]"];
        let others = ["192.0.2.1", "[2001:db8::1]", "0.0.0.0", "[::ffff:10.0.0.1]"];
        let mixed = addresses(&[others, ours].concat());
        assert_eq!(loopback(mixed.into_iter()).unwrap(), addresses(&ours));
        for none in [&others[..], &[]] {
            assert!(loopback(addresses(none).into_iter()).is_err());
        }
    }
}
