//! [`ConfigError`], the error of building a client.

use std::convert::Infallible;

use crate::{
    InvalidActorTokenId, InvalidBaseUrl, InvalidRequest, InvalidSecretKey,
    layer::api_headers::InvalidApiVersion,
};

/// The error of building a client. The message does not repeat a value, which may be secret.
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
    /// The value of an environment variable is invalid.
    #[error("{variable}: {reason}")]
    Variable {
        /// The name of the variable.
        variable: &'static str,
        /// The reason, without the value.
        reason: String,
    },
    /// `CLERK_API_VERSION` is a path, and `CLERK_API_URL` has another one.
    #[error("CLERK_API_VERSION is not the path of CLERK_API_URL: set one of the two")]
    ApiVersionPath,
    /// A text is not a secret key.
    #[error(transparent)]
    SecretKey(#[from] InvalidSecretKey),
    /// A text is not a base URL.
    #[error(transparent)]
    BaseUrl(#[from] InvalidBaseUrl),
    /// A text is not an API version.
    #[error(transparent)]
    ApiVersion(#[from] InvalidApiVersion),
    /// A text is not the id of an actor token.
    #[error(transparent)]
    ActorTokenId(#[from] InvalidActorTokenId),
    /// A header, or another part of a request, is invalid.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// A text is not the URI of a proxy.
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    Proxy(#[from] crate::transport::InvalidProxy),
    /// A setting of the builder has an invalid value.
    #[error("could not set {setting}: {reason}")]
    Setting {
        /// The name of the builder's method.
        setting: &'static str,
        /// The reason, without the value.
        reason: String,
    },
    /// The thread of a [`blocking::Client`](crate::blocking::Client) cannot be started.
    #[cfg(feature = "blocking")]
    #[error("could not start the thread of the blocking client")]
    Thread(#[source] std::io::Error),
    /// The default transport cannot be set up.
    #[cfg(feature = "transport")]
    #[error(transparent)]
    Tls(#[from] crate::transport::TlsError),
}

impl ConfigError {
    /// Returns a function that makes the error of an invalid `variable`.
    #[cfg(feature = "transport")]
    pub(super) fn variable<E: std::fmt::Display>(variable: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Variable {
            variable,
            reason: error.to_string(),
        }
    }
}

impl From<Infallible> for ConfigError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
