//! [`ServerTls`], a certificate that is replaced while the server runs.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// The certificate of a server, and how it verifies the certificates of callers. Clones share it, so that it
/// is replaced while the server runs: for new connections, also for those that would resume a session.
#[derive(Clone)]
pub struct ServerTls(Arc<RwLock<Arc<ServerConfig>>>);

/// Why a certificate is unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("could not read {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: pem::Error,
    },
    /// A PEM file has no certificate.
    #[error("{} has no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// The certificate and its key do not match, or one is unusable.
    #[error("could not use the certificate {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
    /// The authority of the callers' certificates is unusable.
    #[error("could not use the authority {}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: VerifierBuilderError,
    },
}

impl ServerTls {
    /// Reads the certificate, its key, and the authority of callers.
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    pub fn read(tls: &Tls) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(read(tls)?))))
    }

    /// Puts another certificate in the place of this one, also for all clones.
    pub fn replace(&self, other: &Self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = other.current();
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current().into()
    }

    fn current(&self) -> Arc<ServerConfig> {
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

fn read(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(pem_error(&tls.key))?;
    let provider = Arc::new(ring::default_provider());
    let certificate_error = |source| TlsError::Certificate {
        path: tls.certificate.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(certificate_error)?;
    let builder = match &tls.client_ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                let added = roots.add(certificate);
                added.map_err(|source| TlsError::Certificate {
                    path: path.clone(),
                    source,
                })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|source| TlsError::Authority {
                path: path.clone(),
                source,
            })?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let certificates = certificates(&tls.certificate)?;
    let config = builder.with_single_cert(certificates, key);
    let mut config = config.map_err(certificate_error)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(pem_error(path))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(pem_error(path))?;
    match all.is_empty() {
        true => Err(TlsError::NoCertificate(path.to_owned())),
        false => Ok(all),
    }
}

fn pem_error(path: &Path) -> impl Fn(pem::Error) -> TlsError {
    |source| TlsError::Pem {
        path: path.to_owned(),
        source,
    }
}
