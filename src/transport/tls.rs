//! The TLS configuration of the transports, and the reasons of failed handshakes.

use std::{io, sync::Arc};

use rustls::{
    AlertDescription, ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::BoxError;

/// The error of setting up TLS.
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
    #[error("could not read a root certificate: give it as PEM or DER, by the method of that name")]
    RootCertificate(#[source] BoxError),
    /// The cryptography provider supports neither TLS 1.2 nor TLS 1.3.
    #[error("the TLS cryptography supports neither TLS 1.2 nor TLS 1.3")]
    Provider(#[source] BoxError),
}

/// Root certificates, as they were given.
#[derive(Clone, Debug)]
pub(super) enum Roots {
    Der(Vec<u8>),
    Pem(Vec<u8>),
}

impl Roots {
    fn add_to(&self, store: &mut RootCertStore) -> Result<(), BoxError> {
        match self {
            Self::Der(der) => store.add(CertificateDer::from_slice(der))?,
            Self::Pem(pem) => {
                // Fails if there is no certificate.
                CertificateDer::from_pem_slice(pem)?;
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    store.add(certificate?)?;
                }
            }
        }
        Ok(())
    }
}

/// Returns a configuration with `ring`, `aws-lc-rs` or the provider that the process installed, in this order.
/// It trusts the root certificates of the features and those in `given`.
pub(super) fn config(given: &[Roots]) -> Result<ClientConfig, TlsError> {
    let provider = provider().ok_or(TlsError::NoProvider)?;
    let mut roots = roots();
    for root in given {
        root.add_to(&mut roots).map_err(TlsError::RootCertificate)?;
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

/// Returns the reason of a failed TLS handshake, and whether it is permanent.
pub(crate) fn handshake_failure(error: &rustls::Error) -> (String, bool) {
    use rustls::Error::{AlertReceived, InvalidCertificate};

    let reason = match error {
        InvalidCertificate(_) => "the server's certificate is not trusted".into(),
        AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate".into()
        }
        AlertReceived(alert) => format!("the server refused the TLS handshake: {alert:?}"),
        _ => "the server does not speak TLS, or none that fits".into(),
    };
    let is_permanent = !matches!(error, AlertReceived(AlertDescription::InternalError));
    (reason, is_permanent)
}

/// Returns the reason if the server refused the TLS handshake by an alert that it sends only then.
pub(super) fn handshake_refusal(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::AlertReceived(alert) = error else {
        return None;
    };
    // RFC 8446, section 6: `handshake_failure` to `access_denied` except `illegal_parameter`,
    // `protocol_version`, `insufficient_security`, `certificate_required` and `no_application_protocol`.
    matches!(u8::from(*alert), 40..=46 | 48 | 49 | 70 | 71 | 116 | 120)
        .then(|| handshake_failure(error).0)
}
