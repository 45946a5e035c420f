//! The TLS configuration of the transports.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider, pki_types::CertificateDer};

use crate::BoxError;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no cryptography provider: no feature, and none that the process installed.
    #[error("no TLS cryptography: enable the feature `ring` or `aws-lc-rs`")]
    NoProvider,
    /// No certificate authority is trusted.
    #[error(
        "no root certificates: enable the feature `webpki-roots`, or `native-roots` on a system that has some"
    )]
    NoRoots,
    /// An added root certificate is not valid.
    #[error("a root certificate is not a certificate in DER")]
    RootCertificate(#[source] BoxError),
    /// The cryptography provider supports no version of TLS that rustls does.
    #[error("the TLS cryptography does not fit")]
    Provider(#[source] BoxError),
}

/// Returns a configuration with `ring`, else `aws-lc-rs`, else the provider that the process installed, and
/// with the root certificates of the features and those in `given`.
pub(super) fn config(given: &[Vec<u8>]) -> Result<ClientConfig, TlsError> {
    let provider = provider().ok_or(TlsError::NoProvider)?;
    let mut roots = roots();
    for der in given {
        let added = roots.add(CertificateDer::from_slice(der));
        added.map_err(|error| TlsError::RootCertificate(error.into()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Provider(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(feature = "ring")]
fn provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn provider() -> Option<Arc<CryptoProvider>> {
    CryptoProvider::get_default().cloned()
}

fn roots() -> RootCertStore {
    #[cfg_attr(
        not(any(feature = "webpki-roots", feature = "native-roots")),
        expect(unused_mut)
    )]
    let mut roots = RootCertStore::empty();
    #[cfg(feature = "webpki-roots")]
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    #[cfg(feature = "native-roots")]
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
