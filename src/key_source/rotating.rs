//! [`RotatingKey`], a key that can be replaced at run time.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use http::HeaderValue;

use super::bearer;
use crate::SecretKey;

/// A secret key that can be replaced while clients use it. Clones share it.
///
/// The next attempt picks the new key up, that of a call which is under way included. A call that
/// was answered 401 with the key of before is repeated once with the new one.
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
    value: Arc<RwLock<HeaderValue>>,
}

impl RotatingKey {
    /// Begins with `key`.
    #[must_use]
    pub fn new(key: SecretKey) -> Self {
        Self {
            value: Arc::new(RwLock::new(bearer(&key))),
        }
    }

    /// From now on attempts carry `key`.
    pub fn replace(&self, key: SecretKey) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = bearer(&key);
    }

    pub(super) fn current(&self) -> HeaderValue {
        self.value
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
