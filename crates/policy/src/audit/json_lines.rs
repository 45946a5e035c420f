//! [`JsonLinesSink`], an audit in a file of JSON lines.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use clerk_actor_tokens::BoxError;

use super::{AuditLog, AuditWriter, Entry, WriterRecord, log_file::LogFile};

/// An audit in a file of JSON lines, one [`Entry`] a line. Clones share the file.
///
/// The thread of the [`AuditWriter`] appends the entries and waits for `fdatasync`. After a rotation, or when
/// the file is gone, it begins a new one. An append that fails is undone, so that the file holds whole
/// entries only; a process that is killed may leave half a line, which a reader skips.
///
/// ```
/// use clerk_actor_tokens::{ClientBuilder, sandbox::Sandbox};
/// use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer, Entry, JsonLinesSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
/// # let path = std::env::temp_dir().join(format!("audit-{}.jsonl", std::process::id()));
/// let (sandbox, sink) = (Sandbox::new(), JsonLinesSink::open(&path)?);
/// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
///     .observe_layer(AuditLayer::new(sink))
///     .call_layer(AuditBarrierLayer::new())
///     .build()?;
/// client.revoke("act_1").await.unwrap_err();
///
/// let audit = std::fs::read_to_string(&path)?;
/// let entries = audit.lines().map(serde_json::from_str::<Entry>);
/// assert_eq!(entries.collect::<Result<Vec<_>, _>>()?.len(), 3);
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
pub type JsonLinesSink = AuditWriter<JsonLinesFile>;

/// The [`AuditRecord`](super::AuditRecord) of a [`JsonLinesSink`].
pub type JsonLinesRecord = WriterRecord<JsonLinesFile>;

impl JsonLinesSink {
    /// Opens the file, or creates it. It must have no other writer.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or the thread cannot be started.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::start(JsonLinesFile::open(path)?)
    }
}

/// The [`AuditLog`] of a [`JsonLinesSink`].
#[derive(Debug)]
pub struct JsonLinesFile {
    file: LogFile,
    depth: Depth,
}

/// How many entries are in a file that is a spool, those included that were taken and not forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Depth(Arc<Mutex<DepthState>>);

#[derive(Debug, Default)]
struct DepthState {
    entries: usize,
    taken: usize,
}

impl Depth {
    pub(super) fn entries(&self) -> usize {
        self.lock().entries
    }

    fn lock(&self) -> MutexGuard<'_, DepthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JsonLinesFile {
    /// Opens the file, or creates it. It must have no other writer.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = Self {
            file: LogFile::open(path.as_ref())?,
            depth: Depth::default(),
        };
        if !file.file.is_empty() || file.taken().exists() {
            // How many there are is known after the first take.
            file.depth.lock().entries = 1;
        }
        Ok(file)
    }

    pub(super) fn depth(&self) -> Depth {
        self.depth.clone()
    }

    /// Returns where the entries are that were moved out of the file.
    fn taken(&self) -> PathBuf {
        let mut path = self.file.path.clone().into_os_string();
        path.push(".replay");
        path.into()
    }

    /// Moves all entries out of the file, and returns them. Entries that were taken and not forgotten are returned
    /// alone.
    pub(super) fn take(&mut self) -> io::Result<Vec<Entry>> {
        let taken = self.taken();
        let mut found = Vec::new();
        if !self.file.is_empty() || taken.exists() {
            let text = self.file.take(&taken)?;
            // The process may have been killed within a line, and there within a character.
            let lines = text.split(|byte| *byte == b'\n');
            found.extend(lines.filter_map(|line| serde_json::from_slice(line).ok()));
        }
        let mut depth = self.depth.lock();
        depth.taken = found.len();
        depth.entries = match self.file.is_empty() {
            true => found.len(),
            // How many there are beside those that were taken is known after their take.
            false => depth.entries.max(found.len() + 1),
        };
        Ok(found)
    }

    /// Forgets the entries that were taken.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        let taken = self.taken();
        if taken.exists() {
            fs::remove_file(taken)?;
        }
        let mut depth = self.depth.lock();
        depth.entries -= mem::take(&mut depth.taken);
        Ok(())
    }
}

impl AuditLog for JsonLinesFile {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BoxError> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        let appended = self.file.append(&lines);
        appended
            .map_err(|error| format!("could not write {}: {error}", self.file.path.display()))?;
        self.depth.lock().entries += entries.len();
        Ok(())
    }
}
