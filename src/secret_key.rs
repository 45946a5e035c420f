//! [`SecretKey`], the credential of every request.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::Deserialize;

/// A Clerk secret key (`sk_test_…`, `sk_live_…`), never shown.
///
/// There is neither `Display` nor `Serialize`. Dropping it wipes the text from memory, as dropping a client
/// wipes its header value. Copies in the buffers of a connection or a deserializer are not wiped.
///
/// ```
/// use clerk_actor_tokens::SecretKey;
///
/// let key = SecretKey::new("sk_test_51Hk2")?;
/// assert_eq!(format!("{key:?}"), "SecretKey([redacted])");
/// # Ok::<(), clerk_actor_tokens::InvalidSecretKey>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretKey(SecretString);

impl SecretKey {
    /// The beginning of every secret key.
    pub(crate) const PREFIX: &str = "sk_";

    const PREFIXES: [&str; 3] = ["sk_test_", "sk_live_", Self::PREFIX];
    const MAX_LEN: usize = 1024;

    /// Creates a key from its text in Clerk's dashboard, without `Bearer`.
    ///
    /// # Errors
    ///
    /// See [`InvalidSecretKey`].
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidSecretKey> {
        // `Zeroizing` also wipes the spare capacity. The boxed text has none.
        let given = Zeroizing::new(key.into());
        let key = SecretString::from(given.as_str());
        let text = key.expose_secret();
        let scheme = text.get(.."bearer ".len()).unwrap_or_default();
        // The characters of a bearer token in RFC 6750. None of them ends a key in `text::presentable`.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let odd = text.bytes().position(|byte| !allowed(byte));
        Err(if text.is_empty() {
            InvalidSecretKey::Empty
        } else if text.len() > Self::MAX_LEN {
            InvalidSecretKey::TooLong { bytes: text.len() }
        } else if scheme.eq_ignore_ascii_case("bearer ") {
            InvalidSecretKey::Scheme
        } else if let Some(position) = odd {
            InvalidSecretKey::Character { position }
        } else if text.starts_with("pk_") {
            InvalidSecretKey::Publishable
        } else if !text.starts_with(Self::PREFIX) {
            InvalidSecretKey::Prefix
        } else if Self::PREFIXES.contains(&text) {
            InvalidSecretKey::Unfinished
        } else {
            return Ok(Self(key));
        })
    }

    /// Returns whether the key has at least 16 characters after its prefix.
    #[cfg(feature = "server")]
    pub(crate) fn is_strong(&self) -> bool {
        let mut prefixes = Self::PREFIXES.iter();
        let secret = prefixes.find_map(|it| self.expose().strip_prefix(it));
        secret.is_some_and(|it| it.len() >= 16)
    }

    /// Returns the key as text, to send or compare it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for SecretKey {
    type Err = InvalidSecretKey;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        Self::new(key)
    }
}

impl TryFrom<String> for SecretKey {
    type Error = InvalidSecretKey;

    fn try_from(key: String) -> Result<Self, Self::Error> {
        Self::new(key)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([redacted])")
    }
}

/// The error of a text that is not a [`SecretKey`]. The message does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSecretKey {
    /// The text is empty.
    #[error("the secret key is empty")]
    Empty,
    /// The text is longer than 1024 bytes.
    #[error("a secret key has at most 1024 bytes, this text has {bytes}")]
    TooLong {
        /// The length of the text in bytes.
        bytes: usize,
    },
    /// A character is outside `A-Z a-z 0-9 - . _ ~ + / =`, such as a line break.
    #[error(
        "a secret key has only A-Z a-z 0-9 - . _ ~ + / =, the character at byte {position} is not allowed"
    )]
    Character {
        /// The position of the first such character, in bytes from the start.
        position: usize,
    },
    /// The text is a whole header value.
    #[error("pass the secret key without \"Bearer\"")]
    Scheme,
    /// The text is a publishable key.
    #[error("this is a publishable key (pk_…), the API needs the secret key (sk_…)")]
    Publishable,
    /// The text does not begin like a secret key.
    #[error("a secret key begins with sk_")]
    Prefix,
    /// The text ends after `sk_`, `sk_test_` or `sk_live_`, like a template with an empty variable.
    #[error("the secret key ends after its prefix: check for an empty variable")]
    Unfinished,
    /// The key is too short for a service to accept.
    #[error("a key that a service accepts has at least 16 characters after its prefix")]
    Weak,
}
