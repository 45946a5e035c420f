//! The hash chain over the records, and the anchors that show that its newest records are there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::millis;

/// A link of the chain: the number of a record and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The number of the record; 0 before the first one.
    pub seq: u64,
    /// The hash of the record.
    pub hash: [u8; 32],
}

impl Link {
    /// Returns the link that the first record of an instance follows.
    pub fn root(instance: &str) -> Self {
        let hash = Sha256::digest(instance).into();
        Self { seq: 0, hash }
    }

    /// Returns the link of the record that follows, with this text.
    pub fn next(self, text: &str) -> Self {
        let seq = self.seq + 1;
        let hash = Sha256::new()
            .chain_update(self.hash)
            .chain_update(seq.to_be_bytes())
            .chain_update(text);
        let hash = hash.finalize().into();
        Self { seq, hash }
    }
}

/// The head of a chain at a time, written to another place than the database.
///
/// A chain alone cannot show that its newest records were removed, or that all of it was written again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Anchor {
    /// The instance, which is that of one database.
    pub instance: String,
    /// The number of the newest record.
    pub seq: u64,
    /// Its hash, in hexadecimal digits.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
    /// When it was written, in milliseconds since 1970.
    pub at: u64,
    /// The number of the last record that was pruned, if this anchor was written by a prune.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<u64>,
}

impl Anchor {
    /// Creates the anchor of a head, now. `pruned` is the last record that a prune deletes.
    pub fn new(instance: String, head: Link, pruned: Option<u64>) -> Self {
        let Link { seq, hash } = head;
        let at = millis(SystemTime::now());
        Self {
            instance,
            seq,
            hash,
            at,
            pruned,
        }
    }

    /// Writes the anchor durably.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, to: &Anchors) -> io::Result<()> {
        let line = serde_json::to_string(self)? + "\n";
        match to {
            Anchors::Stdout => io::stdout().write_all(line.as_bytes()),
            Anchors::File(path) => append(path, &line),
        }
    }

    /// Reads the anchors of an instance.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(path: &Path, instance: &str) -> io::Result<Vec<Self>> {
        let mut anchors = Self::read_all(path)?;
        anchors.retain(|anchor| anchor.instance == instance);
        Ok(anchors)
    }

    /// Reads the anchors of all instances.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read_all(path: &Path) -> io::Result<Vec<Self>> {
        let text = std::fs::read_to_string(path)?;
        // The process may have been killed within a line.
        let lines = text.lines().map(serde_json::from_str);
        Ok(lines.filter_map(Result::ok).collect())
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file: File = options.read(true).append(true).create(true).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    // Half a line of a process that was killed stands alone.
    let half = if last == *b"\n" { "" } else { "\n" };
    file.write_all(format!("{half}{line}").as_bytes())?;
    file.sync_all()
}

/// Where anchors are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "PathBuf")]
pub enum Anchors {
    /// The standard output, as JSON lines.
    #[default]
    Stdout,
    /// A file.
    File(PathBuf),
}

impl From<PathBuf> for Anchors {
    fn from(path: PathBuf) -> Self {
        match path.as_os_str() == "stdout" {
            true => Self::Stdout,
            false => Self::File(path),
        }
    }
}
