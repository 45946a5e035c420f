//! [`AcceptedKeys`], the keys of an [`ActorTokensApi`](super::ActorTokensApi), and their [`KeyName`]s.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use subtle::ConstantTimeEq;

use crate::{InvalidSecretKey, SecretKey, lock, text::display_as_str};

/// The name of the key that a caller presented, as an extension of the
/// [`ActorTokenRequest`](crate::ActorTokenRequest). A key without a name adds none.
///
/// The name identifies the caller in logs and limits; it is not secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

display_as_str!(KeyName);

/// The keys that an [`ActorTokensApi`](super::ActorTokensApi) accepts. Clones share them, so that keys
/// are added and removed while it serves.
///
/// ```
/// use clerk_actor_tokens::{Client, SecretKey, server::{AcceptedKeys, ActorTokensApi}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::new(clerk_actor_tokens::sandbox::Sandbox::new());
/// let [old, new] = ["sk_test_q8Zt3vN0cXwL5rYd", "sk_test_Lw2mB7fKd9sGx4Hc"].map(SecretKey::new);
/// let (old, new) = (old?, new?);
/// let keys = AcceptedKeys::new();
/// let api = ActorTokensApi::with_keys(client, keys.clone());
///
/// keys.set("billing", [old.clone()])?;
/// keys.set("billing", [new.clone(), old])?; // while callers change to the new key
/// keys.set("billing", [new])?;
/// keys.set("billing", [])?; // removes the key
/// # drop(api);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct AcceptedKeys {
    keys: Arc<Mutex<Vec<Accepted>>>,
}

type Accepted = (Option<KeyName>, SecretKey);

impl AcceptedKeys {
    /// Accepts no key yet, so that every caller is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the keys with this name: several while a key is rotated, none to remove the name. A
    /// request that was admitted before goes on.
    ///
    /// # Errors
    ///
    /// When a key has fewer than 16 characters after its prefix, because it could be guessed. Then
    /// nothing changes.
    pub fn set(
        &self,
        name: &str,
        keys: impl IntoIterator<Item = SecretKey>,
    ) -> Result<(), InvalidSecretKey> {
        let named = named(name, keys)?;
        let mut keys = lock(&self.keys);
        keys.retain(|(other, _)| other.as_ref().is_none_or(|other| other.as_str() != name));
        keys.extend(named);
        Ok(())
    }

    /// Replaces all keys at once by named ones, such as those of a configuration that was read again. A
    /// request that was admitted before goes on.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set). Then nothing changes.
    pub fn replace(
        &self,
        keys: impl IntoIterator<Item = (impl AsRef<str>, impl IntoIterator<Item = SecretKey>)>,
    ) -> Result<(), InvalidSecretKey> {
        let mut all = Vec::new();
        for (name, keys) in keys {
            all.extend(named(name.as_ref(), keys)?);
        }
        *lock(&self.keys) = all;
        Ok(())
    }

    /// Accepts one key of any length, without a name.
    pub(super) fn unnamed(key: SecretKey) -> Self {
        let keys = Arc::new(Mutex::new(vec![(None, key)]));
        Self { keys }
    }

    /// Returns the name of the presented key; `None` if it is not accepted. Of several names the first
    /// counts. Compares all keys, so that the time does not depend on which one matches.
    pub(super) fn find(all: &[Self], presented: &[u8]) -> Option<Option<KeyName>> {
        all.iter().fold(None, |found, Self { keys }| {
            let keys = lock(keys);
            let is_equal = |key: &SecretKey| bool::from(key.expose().as_bytes().ct_eq(presented));
            let matches = keys.iter().filter(|(_, key)| is_equal(key));
            matches.fold(found, |found, (name, _)| {
                found.or_else(|| Some(name.clone()))
            })
        })
    }
}

/// Names keys, and refuses those that could be guessed.
fn named(
    name: &str,
    keys: impl IntoIterator<Item = SecretKey>,
) -> Result<Vec<Accepted>, InvalidSecretKey> {
    let name = KeyName(name.into());
    keys.into_iter()
        .map(|key| Ok((Some(name.clone()), strong(key)?)))
        .collect()
}

/// Returns the key if it is too long to be guessed.
pub(super) fn strong(key: SecretKey) -> Result<SecretKey, InvalidSecretKey> {
    match key.is_strong() {
        true => Ok(key),
        false => Err(InvalidSecretKey::Weak),
    }
}

impl fmt::Debug for AcceptedKeys {
    /// Shows the names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = lock(&self.keys);
        f.write_str("AcceptedKeys")?;
        f.debug_list()
            .entries(
                keys.iter()
                    .map(|(name, _)| name.as_ref().map(KeyName::as_str)),
            )
            .finish()
    }
}
