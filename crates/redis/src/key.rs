//! Names of keys in Redis. They hold no ids of users, and those that a script touches are in one slot.

use clerk_actor_tokens_policy::gate::Scope;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Changes with the format of values, so that two versions can run side by side.
const PREFIX: &str = "clerk-actor-tokens:1";

/// Makes the names of keys.
#[derive(Clone)]
pub(crate) struct Keys {
    prefix: String,
    hmac: Hmac<Sha256>,
}

impl Keys {
    pub(crate) fn new(namespace: &str, hash_key: &[u8]) -> Self {
        Self {
            prefix: format!("{PREFIX}:{namespace}"),
            hmac: Hmac::new_from_slice(hash_key).expect("HMAC takes keys of any length"),
        }
    }

    /// Returns the name of a cell. All cells have one hash tag, because a call takes units of several at once.
    pub(crate) fn cell(&self, key: &str) -> String {
        format!("{{{}:limits}}:{}", self.prefix, self.hash(&[key]))
    }

    /// Returns the name of a scope on the channel.
    pub(crate) fn scope(&self, scope: &Scope) -> String {
        self.hash(&[scope.kind.as_str(), &scope.account])
    }

    /// Returns the key of a scope by its name.
    pub(crate) fn gate(&self, scope: &str) -> String {
        format!("{{{}:gate:{scope}}}", self.prefix)
    }

    /// Returns the channel on which closes are published.
    pub(crate) fn channel(&self) -> String {
        format!("{}:gate", self.prefix)
    }

    /// Returns a key that shows whether Redis takes writes.
    pub(crate) fn probe(&self) -> String {
        format!("{}:probe", self.prefix)
    }

    fn hash(&self, parts: &[&str]) -> String {
        let mut hmac = self.hmac.clone();
        for part in parts {
            hmac.update(part.as_bytes());
            hmac.update(&[0]);
        }
        let bytes = hmac.finalize().into_bytes();
        let start = bytes.first_chunk().expect("SHA-256 has 32 bytes");
        format!("{:032x}", u128::from_be_bytes(*start))
    }
}
