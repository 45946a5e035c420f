//! Transports over rustls, HTTP/1.1 and HTTP/2 by ALPN. [`PooledTransport`] is the default.
//!
//! Any other `Service<http::Request<Body>>` can stand in its place, see
//! [`ClientBuilder::transport`](crate::ClientBuilder::transport).

pub mod client;
mod config;
mod connect;
pub mod pool;
#[cfg(feature = "proxy")]
pub mod proxy;
mod tls;
mod whole;

use std::time::Duration;

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower::util::MapResponse;

pub(crate) use self::connect::ConnectTimedOut;
#[cfg(feature = "proxy")]
pub(crate) use self::proxy::NoTunnel;
#[cfg(feature = "proxy")]
pub use self::proxy::{InvalidProxy, Proxy};
pub use self::{
    client::HyperTransport, config::TransportConfig, pool::PooledTransport, tls::TlsError,
};
use self::{connect::ConnectTimeout, whole::Whole};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(90);

#[cfg(feature = "proxy")]
type Tcp = proxy::MaybeProxied;
#[cfg(not(feature = "proxy"))]
type Tcp = HttpConnector;

type WholeTcp = MapResponse<Tcp, fn(TokioIo<TcpStream>) -> Whole<TokioIo<TcpStream>>>;

type Connector = ConnectTimeout<hyper_rustls::HttpsConnector<WholeTcp>>;

/// Connects by TCP, and by TLS where the URI says so, within the time of the connect phase.
fn connector(config: &TransportConfig) -> Result<Connector, TlsError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Spread over the addresses of a host, so that a dead one leaves time for the next.
    tcp.set_connect_timeout(Some(config.connect_timeout));
    #[cfg(feature = "proxy")]
    let tcp = Tcp::new(tcp, config.proxy.clone());
    let tls = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls::config(&config.root_certificates)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(WholeTcp::new(tcp, Whole::new));
    Ok(ConnectTimeout::new(tls, config.connect_timeout))
}
