//! The hash chain over the records, and the anchors that show that its newest records are there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    time::SystemTime,
};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Result, StoreError, millis};
use crate::config::Anchors;

/// A link of the chain: the number of a record and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: [u8; 32],
}

impl Link {
    /// Returns the link that the first record of an instance follows.
    pub(super) fn root(instance: &str) -> Self {
        let hash = Sha256::digest(instance).into();
        Self { seq: 0, hash }
    }

    /// Returns the link of the record that follows, with this text.
    pub(super) fn next(self, text: &str) -> Self {
        let seq = self.seq + 1;
        let hash = Sha256::new()
            .chain_update(self.hash)
            .chain_update(seq.to_be_bytes())
            .chain_update(text);
        let hash = hash.finalize().into();
        Self { seq, hash }
    }

    /// Returns the instance, and the link that its first record follows.
    pub(super) fn first(connection: &Connection) -> rusqlite::Result<(String, Self)> {
        connection.query_row("SELECT instance, seq, hash FROM chain", [], |row| {
            let (seq, hash) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, Self { seq, hash }))
        })
    }

    /// Returns the link of the newest record.
    pub(super) fn head(connection: &Connection) -> rusqlite::Result<Self> {
        let seq: Option<u64> =
            connection.query_row("SELECT max(seq) FROM records", [], |row| row.get(0))?;
        let head = seq.map(|seq| Self::at(connection, seq)).transpose()?;
        head.flatten()
            .map_or_else(|| Ok(Self::first(connection)?.1), Ok)
    }

    /// Returns the link with a number, if it was not pruned.
    pub(super) fn at(connection: &Connection, seq: u64) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT hash FROM records WHERE seq = ?1 UNION ALL SELECT hash FROM chain WHERE seq = ?1";
        let hash = connection.query_row(sql, [seq], |row| row.get(0));
        Ok(hash.optional()?.map(|hash| Self { seq, hash }))
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
    pub(super) fn new(instance: String, head: Link, pruned: Option<u64>) -> Self {
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
    pub(super) fn write(&self, to: &Anchors) -> Result<()> {
        let line = serde_json::to_string(self).expect("an anchor has string keys only") + "\n";
        let written = match to {
            Anchors::Stdout => io::stdout().write_all(line.as_bytes()),
            Anchors::File(path) => append(path, &line),
        };
        Ok(written.map_err(|source| StoreError::Anchors { source })?)
    }

    /// Reads the anchors of an instance.
    pub(super) fn read(path: &Path, instance: &str) -> io::Result<Vec<Self>> {
        let text = std::fs::read_to_string(path)?;
        // The process may have been killed within a line.
        let anchors = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(anchors
            .filter(|anchor: &Self| anchor.instance == instance)
            .collect())
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
