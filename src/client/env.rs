//! A client configured by the environment.

use std::env::{self, VarError};

use super::{Client, ClientBuilder, ConfigError};
use crate::{BaseUrl, SecretKey, layer::ApiVersion};

const KEY: &str = "CLERK_SECRET_KEY";
const URL: &str = "CLERK_API_URL";
const VERSION: &str = "CLERK_API_VERSION";

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

impl ClientBuilder {
    /// Configures a client by the environment variables `CLERK_SECRET_KEY`, and `CLERK_API_URL` and
    /// `CLERK_API_VERSION` if they are set. An empty variable counts as not set.
    ///
    /// `CLERK_API_VERSION` is a date such as `2026-05-12`, the [version of the API](Self::api_version), or
    /// `v1`, Clerk's default of the variable, which is the path of a base URL without one.
    ///
    /// # Errors
    ///
    /// When `CLERK_SECRET_KEY` is not set, the value of a variable is invalid, or the paths of
    /// `CLERK_API_URL` and `CLERK_API_VERSION` differ.
    pub fn from_env() -> Result<Self, ConfigError> {
        let key = variable(KEY)?.ok_or(ConfigError::Missing { variable: KEY })?;
        let mut builder = Self::new(SecretKey::new(key).map_err(ConfigError::variable(KEY))?);
        let url = variable(URL)?;
        let url = url.as_deref().unwrap_or("https://api.clerk.com");
        let is_path = |version: &str| {
            let digits = version.strip_prefix('v');
            digits.is_some_and(|it| it.parse::<u32>().is_ok() && !it.starts_with('+'))
        };
        let mut path = None;
        match variable(VERSION)? {
            // `v1` becomes `/v1`.
            Some(version) if is_path(&version) => path = Some(format!("/{version}")),
            Some(version) => {
                let version: ApiVersion = version.parse().map_err(|error| {
                    let reason = format!("{error}, or the path of the API, like v1");
                    ConfigError::variable(VERSION)(reason)
                })?;
                builder = builder.api_version(version);
            }
            None => {}
        }
        let default = path.as_deref().unwrap_or(BaseUrl::DEFAULT_PATH);
        let base_url =
            BaseUrl::with_default_path(url, default).map_err(ConfigError::variable(URL))?;
        match path {
            Some(path) if path != base_url.path => Err(ConfigError::ApiVersionPath),
            _ => Ok(builder.base_url(base_url)),
        }
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
