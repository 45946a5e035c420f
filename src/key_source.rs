//! [`KeySource`], the source of an attempt's secret key.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::HeaderValue;
use secrecy::zeroize::Zeroizing;

use crate::{BoxError, SecretKey, lock};

/// Reads the secret key from a vault, or from a file that changes.
///
/// The key is cached until the API responds with 401. Then it is read again, and the attempt is repeated
/// without backoff, once per call. Like any retry, this needs a remaining attempt
/// ([`RetryConfig::disabled`](crate::RetryConfig::disabled) leaves none), time, a retry in the budget, and
/// a classifier that allows it. Otherwise the call returns the 401, and the next call reads the key.
///
/// One call at a time reads the key, and the others wait for it. If the runtime of that call does not run,
/// calls on other runtimes wait as well.
///
/// ```
/// use clerk_actor_tokens::{BoxError, Client, KeyProvider, KeySource, SecretKey};
///
/// struct Vault;
///
/// impl KeyProvider for Vault {
///     async fn key(&self) -> Result<SecretKey, BoxError> {
///         // … read the vault …
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
    /// Reads the current key.
    ///
    /// # Errors
    ///
    /// When the key cannot be read. The call then fails with [`ErrorKind::Key`](crate::ErrorKind::Key),
    /// [`Outcome::NotSent`](crate::Outcome::NotSent) and this error as its source. The message must not
    /// contain a secret.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped with the attempt that waits for it. Another call then reads the key.
    fn key(&self) -> impl Future<Output = Result<SecretKey, BoxError>> + Send;
}

/// The source of an attempt's secret key: a fixed [`SecretKey`], a [`RotatingKey`] that can be replaced
/// at run time, or, by [`KeySource::provider`], a [`KeyProvider`].
#[derive(Clone)]
pub struct KeySource {
    /// The header value; `None` until the provider reads the key.
    value: Arc<Mutex<Option<HeaderValue>>>,
    provider: Option<Arc<Provider>>,
}

struct Provider {
    read: Box<dyn Fn() -> KeyFuture + Send + Sync>,
    /// Locked by the call that reads the key. If that call is dropped, the next one reads it.
    reading: tokio::sync::Mutex<()>,
}

type KeyFuture = Pin<Box<dyn Future<Output = Result<SecretKey, BoxError>> + Send>>;

impl KeySource {
    /// Reads the key from `provider`, and caches it until the API refuses it.
    pub fn provider(provider: impl KeyProvider) -> Self {
        let provider = Arc::new(provider);
        let read = move || -> KeyFuture {
            let provider = Arc::clone(&provider);
            Box::pin(async move { provider.key().await })
        };
        Self {
            value: Arc::default(),
            provider: Some(Arc::new(Provider {
                read: Box::new(read),
                reading: Default::default(),
            })),
        }
    }

    /// Returns the header value, unless the provider must read the key first.
    pub(crate) fn current(&self) -> Option<HeaderValue> {
        lock(&self.value).clone()
    }

    /// Returns the header value. The provider reads the key if it is not cached.
    pub(crate) async fn fetch(self) -> Result<HeaderValue, BoxError> {
        let Some(provider) = &self.provider else {
            return self.current().ok_or_else(|| "there is no key".into());
        };
        let _reading = provider.reading.lock().await;
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let value = bearer(&(provider.read)().await?);
        *lock(&self.value) = Some(value.clone());
        Ok(value)
    }

    /// Removes a key that the API refused from the cache of a provider, unless another key has replaced
    /// it. Returns whether another attempt may have another key.
    pub(crate) fn refuse(&self, refused: &HeaderValue) -> bool {
        let mut value = lock(&self.value);
        let is_current = value.as_ref() == Some(refused);
        if self.provider.is_some() && is_current {
            *value = None;
        }
        self.provider.is_some() || !is_current
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySource([redacted])")
    }
}

impl From<SecretKey> for KeySource {
    fn from(key: SecretKey) -> Self {
        RotatingKey::new(key).into()
    }
}

impl From<RotatingKey> for KeySource {
    fn from(key: RotatingKey) -> Self {
        Self {
            value: key.value,
            provider: None,
        }
    }
}

/// A secret key that can be replaced while clients use it. Clones share it.
///
/// The next attempt uses the new key, even in a call that has begun. If the API refuses an old key with
/// 401, the attempt is repeated once with the new key.
///
/// ```
/// use clerk_actor_tokens::{Client, RotatingKey, SecretKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = RotatingKey::new(SecretKey::new("sk_test_1")?);
/// let client = Client::builder(key.clone()).build()?;
/// key.replace(SecretKey::new("sk_test_2")?);
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RotatingKey {
    value: Arc<Mutex<Option<HeaderValue>>>,
}

impl RotatingKey {
    /// Creates a rotating key that begins with `key`.
    pub fn new(key: SecretKey) -> Self {
        Self {
            value: Arc::new(Mutex::new(Some(bearer(&key)))),
        }
    }

    /// Uses `key` for all attempts from now on.
    pub fn replace(&self, key: SecretKey) {
        *lock(&self.value) = Some(bearer(&key));
    }
}

impl From<SecretKey> for RotatingKey {
    fn from(key: SecretKey) -> Self {
        Self::new(key)
    }
}

impl fmt::Debug for RotatingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RotatingKey([redacted])")
    }
}

/// Returns `Bearer sk_…`, hidden from `Debug` and wiped when its last clone is dropped.
fn bearer(key: &SecretKey) -> HeaderValue {
    let text = Zeroizing::new(["Bearer ", key.expose()].concat().into_bytes());
    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(text));
    // The default is never used, because a `SecretKey` is visible ASCII.
    let mut value = value.unwrap_or(HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}
