//! [`ConfigError`], why a client cannot be built.

use crate::{InvalidBaseUrl, InvalidSecretKey, layer::api_headers::InvalidApiVersion};

/// Why a client cannot be built. No value is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An environment variable that is needed is not set.
    #[error("the environment variable {variable} is not set")]
    Missing {
        /// The name of the variable.
        variable: &'static str,
    },
    /// An environment variable is not Unicode.
    #[error("the environment variable {variable} is not valid Unicode")]
    NotUnicode {
        /// The name of the variable.
        variable: &'static str,
    },
    /// `CLERK_SECRET_KEY` is not a secret key.
    #[error("CLERK_SECRET_KEY: {0}")]
    SecretKey(InvalidSecretKey),
    /// `CLERK_API_URL` is not a base URL.
    #[error("CLERK_API_URL: {0}")]
    BaseUrl(InvalidBaseUrl),
    /// `CLERK_API_VERSION` is not an API version.
    #[error("CLERK_API_VERSION: {0}")]
    ApiVersion(InvalidApiVersion),
    /// The default transport cannot be set up.
    #[cfg(feature = "transport")]
    #[error("the transport cannot be set up")]
    Tls(#[from] crate::transport::TlsError),
}
