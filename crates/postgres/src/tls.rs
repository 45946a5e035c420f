//! TLS to PostgreSQL, by rustls. `sslmode=require` verifies the certificate and the name of the server.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{PostgresError, Result};

/// Creates the connector of a server. `root` is a certificate authority to trust instead of the system's, as PEM.
pub(crate) fn connector(mode: SslMode, root: Option<&[u8]>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    match root {
        // Without TLS, the certificates of the system need not be read, which takes 10 ms.
        _ if mode == SslMode::Disable => {}
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| PostgresError::RootCertificate)?;
                let added = roots.add(certificate);
                added.map_err(|_| PostgresError::RootCertificate)?;
            }
            if roots.is_empty() {
                return Err(PostgresError::RootCertificate.into());
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    let provider = Arc::new(provider()?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(feature = "ring")]
fn provider() -> Result<CryptoProvider, PostgresError> {
    Ok(rustls::crypto::ring::default_provider())
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn provider() -> Result<CryptoProvider, PostgresError> {
    Ok(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn provider() -> Result<CryptoProvider, PostgresError> {
    let installed = CryptoProvider::get_default();
    installed.map(|it| (**it).clone()).ok_or(PostgresError::Tls)
}
