//! [`ConfigError`], the error of building a client.

use crate::{InvalidBaseUrl, InvalidSecretKey, layer::api_headers::InvalidApiVersion};

/// Why a client cannot be built. It does not repeat a value, which may be secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A required environment variable is not set.
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
    /// `CLERK_API_VERSION` is neither a date nor the path of the API.
    #[error("CLERK_API_VERSION: {0}, or the path of the API, like v1")]
    ApiVersion(InvalidApiVersion),
    /// `CLERK_API_VERSION` is a path, and `CLERK_API_URL` has another one.
    #[error("CLERK_API_VERSION is not the path of CLERK_API_URL: set one of the two")]
    ApiVersionPath,
    /// A setting of the builder has an invalid value.
    #[error("could not set {setting}: {reason}")]
    Setting {
        /// The name of the builder's method.
        setting: &'static str,
        /// Why the value is invalid.
        reason: String,
    },
    /// The thread of a [`blocking::Client`](crate::blocking::Client) cannot be started.
    #[cfg(feature = "blocking")]
    #[error("could not start the thread of the blocking client")]
    Thread(#[source] std::io::Error),
    /// The default transport cannot be set up.
    #[cfg(feature = "transport")]
    #[error("could not set up the transport")]
    Tls(#[from] crate::transport::TlsError),
}
