//! [`KeySource`], where the secret key of an attempt comes from.

mod cached;
mod rotating;

use std::{fmt, future::Future, sync::Arc};

use http::HeaderValue;

use self::cached::Cached;
pub use self::rotating::RotatingKey;
use crate::{BoxError, SecretKey};

/// Hands out the secret key, from a vault or a file that changes.
///
/// What it hands out is kept until the API answers 401. Then that key is forgotten, and the attempt
/// repeated, at once and once a call, for which the provider is asked again. Like any retry, the repeat
/// needs an attempt that is left ([`RetryConfig::disabled`](crate::RetryConfig::disabled) leaves none),
/// time, a retry in the budget, and no classifier that is against it; without it the 401 comes through,
/// and the next call asks for the key. However many calls wait for a key, it is asked by one of them at
/// a time: one that asks on a runtime that nobody runs lets those of other runtimes wait.
///
/// ```
/// use clerk_actor_tokens::{BoxError, Client, KeyProvider, KeySource, SecretKey};
///
/// struct Vault;
///
/// impl KeyProvider for Vault {
///     async fn key(&self) -> Result<SecretKey, BoxError> {
///         // … ask the vault …
///         Ok(SecretKey::new("sk_test_1")?)
///     }
/// }
///
/// # fn main() -> Result<(), clerk_actor_tokens::ConfigError> {
/// let client = Client::builder(KeySource::provider(Vault)).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
pub trait KeyProvider: Send + Sync + 'static {
    /// The key as it is now.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being had. The call then fails with
    /// [`ErrorKind::Key`](crate::ErrorKind::Key), [`Outcome::NotSent`](crate::Outcome::NotSent) and
    /// this error as its source; the message must not hold a secret.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the attempt that waits for it is given up; another call may then
    /// ask anew.
    fn key(&self) -> impl Future<Output = Result<SecretKey, BoxError>> + Send;
}

/// Where the secret key of an attempt comes from: a [`SecretKey`] that stays, a [`RotatingKey`] that
/// can be replaced at run time, or, by [`KeySource::provider`], a [`KeyProvider`] that is asked.
#[derive(Clone)]
pub struct KeySource(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(HeaderValue),
    Rotating(RotatingKey),
    Provided(Arc<Cached>),
}

impl KeySource {
    /// Asks `provider` for the key, and keeps it until the API refuses it.
    pub fn provider(provider: impl KeyProvider) -> Self {
        Self(Kind::Provided(Arc::new(Cached::new(provider))))
    }

    /// Whether there may ever be another key.
    pub(crate) fn can_change(&self) -> bool {
        !matches!(self.0, Kind::Fixed(_))
    }

    /// The header value, if it is at hand.
    pub(crate) fn current(&self) -> Option<HeaderValue> {
        match &self.0 {
            Kind::Fixed(value) => Some(value.clone()),
            Kind::Rotating(key) => Some(key.current()),
            Kind::Provided(cached) => cached.current(),
        }
    }

    /// The header value, asked for.
    pub(crate) async fn fetch(self) -> Result<HeaderValue, BoxError> {
        match self.0 {
            Kind::Fixed(value) => Ok(value),
            Kind::Rotating(key) => Ok(key.current()),
            Kind::Provided(cached) => cached.fetch().await,
        }
    }

    /// The API refused `value`. True when another attempt may carry another key.
    pub(crate) fn refuse(&self, value: &HeaderValue) -> bool {
        match &self.0 {
            Kind::Fixed(_) => false,
            Kind::Rotating(key) => key.current() != value,
            Kind::Provided(cached) => {
                cached.forget(value);
                true
            }
        }
    }
}

impl From<SecretKey> for KeySource {
    fn from(key: SecretKey) -> Self {
        Self(Kind::Fixed(bearer(&key)))
    }
}

impl From<RotatingKey> for KeySource {
    fn from(key: RotatingKey) -> Self {
        Self(Kind::Rotating(key))
    }
}

/// `Bearer sk_…`, marked sensitive, so that `Debug` does not show it.
fn bearer(key: &SecretKey) -> HeaderValue {
    let value = HeaderValue::try_from(["Bearer ", key.expose()].concat());
    // A `SecretKey` is visible ASCII and nothing else.
    let mut value = value.unwrap_or(HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Fixed(_) => "KeySource::Fixed",
            Kind::Rotating(_) => "KeySource::Rotating",
            Kind::Provided(_) => "KeySource::Provided",
        })
    }
}
