//! Transports over rustls, by HTTP/1.1 and HTTP/2. [`PooledTransport`] is the default.
//!
//! Any other `Service<http::Request<Body>>` can replace them, see
//! [`ClientBuilder::transport`](crate::ClientBuilder::transport).

pub mod client;
mod config;
mod connect;
pub mod pool;
#[cfg(feature = "proxy")]
pub mod proxy;
mod tls;

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;

pub(crate) use self::connect::ConnectTimedOut;
use self::connect::ConnectTimeout;
#[cfg(feature = "proxy")]
pub(crate) use self::proxy::NoTunnel;
#[cfg(feature = "proxy")]
pub use self::proxy::{InvalidProxy, Proxy};
pub use self::{
    client::HyperTransport, config::TransportConfig, pool::PooledTransport, tls::TlsError,
};

/// How long an HTTP/2 connection may be silent while a response is awaited, before it is probed by a ping.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long the peer may take to reply to the ping: together with the interval less than the default timeout
/// of an attempt, so that the next attempt goes over another connection.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(feature = "proxy")]
type Tcp = proxy::MaybeProxied;
#[cfg(not(feature = "proxy"))]
type Tcp = HttpConnector;

type Connector = ConnectTimeout<hyper_rustls::HttpsConnector<Tcp>>;

/// Returns a connector for TCP, and for TLS if the URI says so, with a limit on the time to connect.
fn connector(config: &TransportConfig) -> Result<Connector, TlsError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // It is divided among the addresses of a host, so that a dead one leaves time for the next.
    tcp.set_connect_timeout(Some(config.connect_timeout));
    #[cfg(feature = "proxy")]
    let tcp = Tcp {
        tcp,
        proxy: config.proxy.clone(),
    };
    let inner = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls::config(&config.root_certificates)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let limit = config.connect_timeout;
    Ok(ConnectTimeout { inner, limit })
}
