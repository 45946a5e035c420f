//! [`SecretKey`], the credential of every request.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};

/// A Clerk secret key (`sk_test_…`, `sk_live_…`), never shown.
///
/// `Debug` prints `SecretKey([redacted])`, there is no `Display`, and each copy is wiped from memory
/// when it is dropped.
///
/// ```
/// use clerk_actor_tokens::SecretKey;
///
/// let key = SecretKey::new("sk_test_51Hk2")?;
/// assert_eq!(format!("{key:?}"), "SecretKey([redacted])");
/// # Ok::<(), clerk_actor_tokens::InvalidSecretKey>(())
/// ```
#[derive(Clone)]
pub struct SecretKey(SecretString);

impl SecretKey {
    /// The beginning of every secret key.
    pub(crate) const PREFIX: &str = "sk_";

    const MAX_LEN: usize = 1024;

    /// Takes a key as Clerk's dashboard shows it, without `Bearer`.
    ///
    /// # Errors
    ///
    /// When the text cannot be a secret key: it is empty, longer than 1024 bytes, a publishable key
    /// (`pk_…`) or a whole header value, has a character that is not visible ASCII, or does not begin
    /// with `sk_`.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidSecretKey> {
        let key = SecretString::from(key.into());
        let text = key.expose_secret();
        let scheme = text.get(.."bearer ".len()).unwrap_or_default();
        let hidden = text.bytes().position(|byte| !byte.is_ascii_graphic());
        Err(if text.is_empty() {
            InvalidSecretKey::Empty
        } else if text.len() > Self::MAX_LEN {
            InvalidSecretKey::TooLong { bytes: text.len() }
        } else if scheme.eq_ignore_ascii_case("bearer ") {
            InvalidSecretKey::Scheme
        } else if let Some(position) = hidden {
            InvalidSecretKey::Character { position }
        } else if text.starts_with("pk_") {
            InvalidSecretKey::Publishable
        } else if !text.starts_with(Self::PREFIX) {
            InvalidSecretKey::Prefix
        } else {
            return Ok(Self(key));
        })
    }

    /// Returns the key as text, to send or compare it.
    #[must_use]
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

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([redacted])")
    }
}

/// Why a text is not a [`SecretKey`]. It does not repeat the text.
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
    /// White space, a line break, or another character that is not visible ASCII.
    #[error(
        "the secret key has white space or a character that is not visible ASCII at byte {position}"
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
}
