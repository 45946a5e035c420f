//! Reads a [`Config`] from TOML, and says where and why it is invalid without repeating a value.

use std::{
    borrow::Cow,
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{Deserializer, de};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, SecretFrom};

/// Why a configuration, or a secret that it names, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The text is not a configuration.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
    /// A secret cannot be read, or is unusable.
    #[error("{field}: {from} {why}")]
    Secret {
        /// The field that names the secret.
        field: String,
        /// Where the secret is.
        from: SecretFrom,
        /// The reason.
        why: String,
    },
}

/// An invalid field of a configuration, why it is invalid, and what to do. It holds no value of the file, except
/// for a short word in place of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file, if the configuration was read from one.
    pub file: Option<PathBuf>,
    /// The line, counted from one.
    pub line: Option<usize>,
    /// The field, such as `server.listen`; empty for the whole file.
    pub field: String,
    /// The reason, and what to do.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        match &*self.field {
            "" => f.write_str(&self.why),
            field => write!(f, "{field}: {}", self.why),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl Config {
    /// Reads a configuration from a TOML file and validates it. Relative paths in it are relative to the
    /// folder of the file. Neither secrets nor certificates are read.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not a valid configuration.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| {
            let path = path.to_owned();
            ReadError::File { path, source }
        })?;
        let config: Result<Self, _> = text.parse();
        let mut config = config.map_err(|error| match error {
            ReadError::Invalid(mut problems) => {
                for problem in &mut problems {
                    problem.file = Some(path.to_owned());
                }
                ReadError::Invalid(problems)
            }
            other => other,
        })?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }
}

impl FromStr for Config {
    type Err = ReadError;

    /// Reads a configuration from TOML and validates it. Relative paths in it are relative to the current
    /// folder.
    fn from_str(text: &str) -> Result<Self, ReadError> {
        let invalid = |field: &str, before: &str, error: &toml::de::Error| {
            ReadError::Invalid(vec![Problem {
                file: None,
                line: error.span().map(|span| line(text, span.start)),
                field: field.to_owned(),
                why: before.to_owned() + &without_values(error.message()),
            }])
        };
        let syntax = "not TOML, such as a text without quotes: ";
        let table = DeTable::parse(text).map_err(|error| invalid("", syntax, &error))?;
        let mut secrets = Vec::new();
        find_secrets(table.get_ref(), &mut Vec::new(), &mut secrets);
        if !secrets.is_empty() {
            let problems = secrets.into_iter().map(|(path, start)| Problem {
                file: None,
                line: Some(line(text, start)),
                field: join(&path),
                why: IN_THE_FILE.into(),
            });
            return Err(ReadError::Invalid(problems.collect()));
        }
        let deserializer = toml::Deserializer::from(table.clone());
        let config: Self = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            // `.` is the whole file, and `?` stands for an unknown field.
            let field = error.path().to_string();
            let field = field.trim_end_matches(['.', '?']);
            invalid(field, "", error.inner())
        })?;
        let problems = config.validate();
        if problems.is_empty() {
            return Ok(config);
        }
        let problems = problems.into_iter().map(|(path, why)| Problem {
            file: None,
            line: find(&table, &path).map(|start| line(text, start)),
            field: join(&path),
            why,
        });
        Err(ReadError::Invalid(problems.collect()))
    }
}

/// The path of a field: names, and `[0]` for an element of a list.
pub(super) type FieldPath = Vec<Cow<'static, str>>;

fn join(path: &[Cow<'static, str>]) -> String {
    let parts = path.iter().enumerate().map(|(index, part)| {
        let dot = if index == 0 || part.starts_with('[') {
            ""
        } else {
            "."
        };
        format!("{dot}{part}")
    });
    parts.collect()
}

fn line(text: &str, start: usize) -> usize {
    let before = text.as_bytes().iter().take(start);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// Returns where the field begins, or the deepest part of its path that the file has.
fn find(table: &Spanned<DeTable<'_>>, path: &FieldPath) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.get_ref().get_key_value(&**first)?;
    let (mut start, mut value) = (key.span().start, value.get_ref());
    for part in rest {
        let inner = match value {
            DeValue::Table(table) => table
                .get_key_value(&**part)
                .map(|(key, value)| (key.span().start, value)),
            DeValue::Array(list) => {
                let index = part.trim_matches(['[', ']']).parse::<usize>().ok();
                let value = index.and_then(|index| list.get(index));
                value.map(|value| (value.span().start, value))
            }
            _ => None,
        };
        let Some((inner_start, inner)) = inner else {
            break;
        };
        (start, value) = (inner_start, inner.get_ref());
    }
    Some(start)
}

pub(super) const IN_THE_FILE: &str = "a secret is never written in this file; write { file = \"/path\" } with the path of a file that holds it, or { env = \"NAME\" }";

/// Finds keys of Clerk and private keys in the file, so that no message repeats one.
fn find_secrets(table: &DeTable<'_>, path: &mut FieldPath, found: &mut Vec<(FieldPath, usize)>) {
    for (name, value) in table {
        if is_secret(name.get_ref()) {
            found.push((path.clone(), name.span().start));
            continue;
        }
        path.push(name.get_ref().to_string().into());
        find_secrets_in(value, path, found);
        path.pop();
    }
}

fn find_secrets_in(
    value: &Spanned<DeValue<'_>>,
    path: &mut FieldPath,
    found: &mut Vec<(FieldPath, usize)>,
) {
    match value.get_ref() {
        DeValue::String(text) if is_secret(text) => {
            found.push((path.clone(), value.span().start));
        }
        DeValue::Table(table) => find_secrets(table, path, found),
        DeValue::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                path.push(format!("[{index}]").into());
                find_secrets_in(value, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn is_secret(text: &str) -> bool {
    let text = text.trim();
    let text = text
        .get("bearer ".len()..)
        .filter(|_| starts_with_bearer(text))
        .unwrap_or(text);
    text.starts_with("sk_") || text.starts_with("gwop_") || text.contains("-----BEGIN")
}

fn starts_with_bearer(text: &str) -> bool {
    let scheme = text.get(.."bearer ".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer ")
}

/// The beginnings of the messages in which serde quotes a value.
const QUOTING: [&str; 3] = [
    "invalid type: string",
    "invalid value: string",
    UNKNOWN_CHOICE,
];

const UNKNOWN_CHOICE: &str = "unknown variant";

/// Returns the message without the value that serde quotes, which could be a secret. A short word in place of a
/// choice is kept, because a secret is longer or has digits.
fn without_values(message: &str) -> String {
    let start = QUOTING.iter().find(|start| message.starts_with(**start));
    // The value may have the word, too, but not behind serde's own.
    let Some((start, (quoting, after))) = start.zip(message.rsplit_once(", expected")) else {
        return message.to_owned();
    };
    let choice = quoting
        .strip_prefix(UNKNOWN_CHOICE)
        .map(|choice| choice.trim_matches([' ', '`']));
    let is_word = |it: &str| it.len() <= 16 && it.bytes().all(|byte| byte.is_ascii_lowercase());
    match choice.is_some_and(is_word) {
        true => message.to_owned(),
        false => format!("{start}, expected{after}"),
    }
}

/// Reads a time of at least one second.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_i64(Seconds { least: 1 })
}

/// Reads a time that may be zero.
pub(super) fn seconds_or_zero<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    deserializer.deserialize_i64(Seconds { least: 0 })
}

struct Seconds {
    least: u64,
}

/// The longest time, a day.
const MOST: u64 = 86_400;

impl de::Visitor<'_> for Seconds {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number of seconds from {} to {MOST}", self.least)
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
        let valid = u64::try_from(seconds).ok();
        let valid = valid.filter(|seconds| (self.least..=MOST).contains(seconds));
        let invalid = || E::invalid_value(de::Unexpected::Signed(seconds), &self);
        valid.map(Duration::from_secs).ok_or_else(invalid)
    }
}
