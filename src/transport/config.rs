//! [`TransportConfig`], the settings of the transports.

use std::time::Duration;

use super::tls::Roots;

/// The settings of the default transport, and of [`HyperTransport`](super::HyperTransport).
#[derive(Clone, Debug)]
#[must_use]
pub struct TransportConfig {
    pub(super) connect_timeout: Duration,
    pub(super) pool_idle_timeout: Duration,
    pub(super) tcp_keepalive: Option<Duration>,
    /// `None` if it is not set.
    pub(super) http2_keep_alive_interval: Option<Option<Duration>>,
    pub(super) http2_keep_alive_timeout: Duration,
    pub(super) roots: Vec<Roots>,
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<super::Proxy>,
}

impl Default for TransportConfig {
    /// The default of each setting.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            pool_idle_timeout: Duration::from_secs(30),
            tcp_keepalive: None,
            http2_keep_alive_interval: None,
            http2_keep_alive_timeout: Duration::from_secs(3),
            roots: Vec::new(),
            #[cfg(feature = "proxy")]
            proxy: None,
        }
    }
}

impl TransportConfig {
    /// Sets the limit of connecting: name resolution, TCP and TLS together. Default: 3 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long an idle connection stays in the pool. Default: 30 s.
    pub fn pool_idle_timeout(mut self, limit: Duration) -> Self {
        self.pool_idle_timeout = limit;
        self
    }

    /// Sets the time after which TCP probes an idle HTTPS connection, or `None` for no probes. Default: `None`.
    pub fn tcp_keepalive(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.tcp_keepalive = time.into();
        self
    }

    /// Sets the time without a frame, while a response is awaited, after which HTTP/2 sends a ping, or `None`
    /// for no pings. Default: `None`, because [`PooledTransport`](super::PooledTransport) stops using a silent
    /// connection; 5 s for [`HyperTransport`](super::HyperTransport), which does not.
    pub fn http2_keep_alive_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.http2_keep_alive_interval = Some(interval.into());
        self
    }

    /// Sets the time after which a connection whose ping gets no reply is closed. Default: 3 s.
    pub fn http2_keep_alive_timeout(mut self, limit: Duration) -> Self {
        self.http2_keep_alive_timeout = limit;
        self
    }

    /// Also trusts the certificate authorities in this PEM text. A text without a certificate is an error when
    /// the transport is built.
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(Roots::Pem(pem.into()));
        self
    }

    /// Also trusts the certificate authority with this DER certificate. Bytes that are not a certificate are
    /// an error when the transport is built.
    pub fn root_certificate_der(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.push(Roots::Der(der.into()));
        self
    }

    /// Connects through this proxy. Default: none, whatever the environment says.
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, proxy: super::Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }
}
