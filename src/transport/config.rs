//! [`TransportConfig`], what can be chosen of the default transport.

use std::time::Duration;

/// What can be chosen of the default transport.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    pub(super) connect_timeout: Duration,
    pub(super) root_certificates: Vec<Vec<u8>>,
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<super::Proxy>,
}

impl Default for TransportConfig {
    /// A connect phase of 3 s, no root certificates besides those of the features, and no proxy.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            root_certificates: Vec::new(),
            #[cfg(feature = "proxy")]
            proxy: None,
        }
    }
}

impl TransportConfig {
    /// The longest the connect phase may take: name resolution, TCP and TLS together. Default: 3 s.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Trusts this certificate authority, too: its certificate as DER. For a gateway of one's own.
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
