//! [`TransportConfig`], the settings of the transports.

use std::time::Duration;

/// The settings of the default transport, and of [`HyperTransport`](super::HyperTransport).
#[derive(Clone, Debug)]
pub struct TransportConfig {
    pub(super) connect_timeout: Duration,
    pub(super) pool_idle_timeout: Duration,
    pub(super) root_certificates: Vec<Vec<u8>>,
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<super::Proxy>,
}

impl Default for TransportConfig {
    /// 3 s to connect, 30 s for an idle connection, the root certificates of the features, and no proxy.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            pool_idle_timeout: Duration::from_secs(30),
            root_certificates: Vec::new(),
            #[cfg(feature = "proxy")]
            proxy: None,
        }
    }
}

impl TransportConfig {
    /// The longest time to connect: name resolution, TCP and TLS together. Default: 3 s.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The longest time that an idle connection stays in the pool. Default: 30 s.
    #[must_use]
    pub fn pool_idle_timeout(mut self, limit: Duration) -> Self {
        self.pool_idle_timeout = limit;
        self
    }

    /// Trusts this certificate authority, too: its certificate as DER, for example that of a gateway.
    #[must_use]
    pub fn root_certificate(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(der.into());
        self
    }

    /// Connects through this proxy. Default: none, whatever the environment says.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy(mut self, proxy: super::Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }
}
