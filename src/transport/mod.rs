//! Transports over rustls, by HTTP/1.1 and HTTP/2. [`PooledTransport`] is the default.
//!
//! They follow no redirects and retry nothing that may have been sent. Any other
//! `Service<http::Request<Body>>` can replace them, see
//! [`ClientBuilder::transport`](crate::ClientBuilder::transport).

pub mod client;
mod config;
mod connect;
pub mod pool;
#[cfg(feature = "proxy")]
pub mod proxy;
mod stream;
mod tls;

use hyper_util::client::legacy::connect::HttpConnector;

#[cfg(feature = "proxy")]
pub use self::proxy::{InvalidProxy, Proxy};
pub use self::{
    client::HyperTransport, config::TransportConfig, pool::PooledTransport, tls::TlsError,
};
pub(crate) use self::{connect::ConnectError, tls::handshake_failure};
use self::{
    connect::{ConnectTimeout, Tcp},
    stream::Refusals,
};

type Connector = ConnectTimeout<hyper_rustls::HttpsConnector<Tcp>>;

/// Returns a connector for TCP, and TLS if the URI is HTTPS, with a limit on the time to connect.
fn connector(config: &TransportConfig) -> Result<Connector, TlsError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(config.tcp_keepalive);
    // It is divided among the addresses of a host, so that a dead one leaves time for the next.
    tcp.set_connect_timeout(Some(config.connect_timeout));
    let tcp = Tcp {
        inner: tcp,
        #[cfg(feature = "proxy")]
        proxy: config.proxy.clone(),
    };
    let inner = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls::config(&config.roots)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(ConnectTimeout {
        inner,
        limit: config.connect_timeout,
        refusals: Refusals::default(),
    })
}
