//! [`SecretFrom`], where a secret is read from.

use std::{
    collections::BTreeMap,
    env, fmt,
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
};

use clerk_actor_tokens::{SecretKey, server::AcceptedKeys};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Deserializer, de};

use super::{Clerk, Config, ReadError, read::IN_THE_FILE};

/// The longest secret that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Where a secret is read from. A configuration never holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SecretFrom {
    /// A file, whose last line break is ignored.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

impl<'de> Deserialize<'de> for SecretFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = SecretFrom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ file = \"/path\" } or { env = \"NAME\" }")
    }

    /// A text here is likely the secret itself.
    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretFrom, E> {
        Err(E::custom(IN_THE_FILE))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<SecretFrom, A::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Place {
            File,
            Env,
        }
        let expected = || de::Error::custom("write { file = \"/path\" } or { env = \"NAME\" }");
        let from = match map.next_key()? {
            Some(Place::File) => SecretFrom::File(map.next_value()?),
            Some(Place::Env) => SecretFrom::Env(map.next_value()?),
            None => return Err(expected()),
        };
        match map.next_key::<Place>()? {
            None => Ok(from),
            Some(_) => Err(de::Error::custom("write either `file` or `env`, not both")),
        }
    }
}

impl fmt::Display for SecretFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Env(name) => write!(f, "the variable {name}"),
        }
    }
}

impl SecretFrom {
    /// Reads the secret of a field. A file that every user can read is a warning in the log.
    pub(crate) fn read(&self, field: &str) -> Result<SecretString, ReadError> {
        let text = match self {
            Self::File(path) => read_file(path).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
                _ => format!("cannot be read: {error}"),
            }),
            Self::Env(name) => env::var(name)
                .map(Zeroizing::new)
                .map_err(|error| match error {
                    env::VarError::NotPresent => "is not set".to_owned(),
                    env::VarError::NotUnicode(_) => "is not UTF-8 text".to_owned(),
                }),
        };
        let text = text.map_err(|why| self.invalid(field, why))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        match text.strip_suffix('\r').unwrap_or(text) {
            "" => Err(self.invalid(field, "is empty")),
            text => Ok(text.into()),
        }
    }

    /// Reads a secret key.
    fn read_key(&self, field: &str) -> Result<SecretKey, ReadError> {
        let text = self.read(field)?;
        let key = SecretKey::new(text.expose_secret());
        key.map_err(|error| self.invalid(field, format!("holds no usable key: {error}")))
    }

    fn invalid(&self, field: &str, why: impl Into<String>) -> ReadError {
        ReadError::Secret {
            field: field.to_owned(),
            from: self.clone(),
            why: why.into(),
        }
    }
}

fn read_file(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut file = File::open(path)?;
    if is_readable_by_all(&file.metadata()?) {
        let path = path.display();
        tracing::warn!(%path, "every user can read this secret: chmod 600 the file");
    }
    // One allocation, because a buffer that grows leaves copies.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    Read::take(&mut file, MAX_BYTES + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other(format!("more than {MAX_BYTES} bytes"))),
        false => Ok(text),
    }
}

#[cfg(unix)]
fn is_readable_by_all(file: &Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o004 != 0
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &Metadata) -> bool {
    false
}

impl Clerk {
    /// Reads the secret key.
    pub(crate) fn secret_key(&self) -> Result<SecretKey, ReadError> {
        self.secret_key.read_key("clerk.secret_key")
    }
}

impl Config {
    /// Reads the keys of callers, by their name.
    ///
    /// # Errors
    ///
    /// When one is missing, unusable or short, when two are the same, and when one is the key of the API.
    pub fn accepted_keys(&self) -> Result<BTreeMap<String, Vec<SecretKey>>, ReadError> {
        let mut seen = vec![("clerk.secret_key".to_owned(), self.clerk.secret_key()?)];
        let mut all = BTreeMap::new();
        for (name, sources) in &self.keys {
            for (index, from) in sources.iter().enumerate() {
                let field = format!("keys.{name}[{index}]");
                let key = from.read_key(&field)?;
                let accepted = AcceptedKeys::new().set(name, [key.clone()]);
                accepted.map_err(|error| from.invalid(&field, format!("is refused: {error}")))?;
                // At the start, among the keys of one file: the time of a comparison shows nothing.
                if let Some((other, _)) = seen.iter().find(|(_, it)| it.expose() == key.expose()) {
                    return Err(from.invalid(&field, format!("holds the same key as {other}")));
                }
                seen.push((field, key.clone()));
                all.entry(name.clone()).or_insert_with(Vec::new).push(key);
            }
        }
        Ok(all)
    }
}
