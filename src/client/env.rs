//! A client configured by the environment.

use std::env::{self, VarError};

use super::{Client, ClientBuilder, ConfigError, Layers};
use crate::{SecretKey, transport::TransportConfig};

impl Client {
    /// Builds a client from the environment, see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// When `CLERK_SECRET_KEY` is not set, the value of a variable is invalid, or TLS cannot be set up.
    pub fn from_env() -> Result<Self, ConfigError> {
        ClientBuilder::from_env()?.build()
    }
}

impl ClientBuilder<Layers, TransportConfig> {
    /// Begins with the environment variables `CLERK_SECRET_KEY`, and `CLERK_API_URL` and
    /// `CLERK_API_VERSION` if they are set.
    ///
    /// # Errors
    ///
    /// When `CLERK_SECRET_KEY` is not set, or the value of a variable is invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        let key = variable("CLERK_SECRET_KEY")?.ok_or(ConfigError::Missing {
            variable: "CLERK_SECRET_KEY",
        })?;
        let mut builder = Self::new(SecretKey::new(key).map_err(ConfigError::SecretKey)?);
        if let Some(url) = variable("CLERK_API_URL")? {
            builder = builder.base_url(url.parse().map_err(ConfigError::BaseUrl)?);
        }
        if let Some(version) = variable("CLERK_API_VERSION")? {
            builder = builder.api_version(version.parse().map_err(ConfigError::ApiVersion)?);
        }
        Ok(builder)
    }
}

/// Reads a variable. An empty one counts as not set, because many deployments cannot unset one.
fn variable(variable: &'static str) -> Result<Option<String>, ConfigError> {
    match env::var(variable) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(ConfigError::NotUnicode { variable }),
    }
}
