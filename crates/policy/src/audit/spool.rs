//! [`Spool`], where entries wait while the sink is unavailable.

use std::{io, path::Path};

use super::{
    AuditRecord, AuditSink, Begin, End, Entry, Event, JsonLinesFile, JsonLinesRecord,
    JsonLinesSink, MemoryRecord, MemorySink, SinkUnavailable, json_lines::Depth,
};
use crate::CallId;

/// How many entries wait in memory at most.
const CAPACITY: usize = 1 << 16;

/// Where entries wait while the sink is unavailable, to be written to it later, marked as
/// [late](Entry::late).
///
/// **A revoke is never held back by its audit**: while the sink is unavailable, its entries go here. A spool
/// in a file also takes the ends of creates, which are then returned to their callers as usual.
///
/// The entries are replayed every second until the sink takes them. One that the sink took without saying so
/// is replayed twice.
#[derive(Clone, Debug)]
pub struct Spool(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Memory(MemorySink),
    File(JsonLinesSink, Depth),
}

impl Spool {
    /// Creates a spool in memory for 65,536 entries. It ends with the process.
    pub fn in_memory() -> Self {
        Self(Kind::Memory(MemorySink::with_capacity(CAPACITY)))
    }

    /// Opens a spool in a file of JSON lines. The layer replays what an earlier process left in it. A file
    /// with the same name and the suffix `.replay` holds the entries that are being replayed.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or its thread cannot be started.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = JsonLinesFile::open(path)?;
        let depth = file.depth();
        Ok(Self(Kind::File(JsonLinesSink::start(file)?, depth)))
    }

    /// Returns how many entries wait; at least one, if an earlier process left some and none was replayed
    /// yet.
    pub fn depth(&self) -> usize {
        match &self.0 {
            Kind::Memory(spool) => spool.len(),
            Kind::File(_, depth) => depth.entries(),
        }
    }

    pub(super) async fn begin(
        &self,
        call: CallId,
        begin: Begin,
    ) -> Result<SpoolRecord, SinkUnavailable> {
        Ok(match &self.0 {
            Kind::Memory(spool) => SpoolRecord::Memory(spool.begin(call, begin).await?),
            Kind::File(spool, _) => SpoolRecord::File(spool.begin(call, begin).await?),
        })
    }

    /// Returns whether entries outlive the process.
    pub(super) fn is_durable(&self) -> bool {
        matches!(self.0, Kind::File(..))
    }

    /// Adds an event of a call that has begun in the sink.
    pub(super) async fn add(&self, call: CallId, event: Event) -> Result<(), SinkUnavailable> {
        let entry = Entry::new(call, event);
        match &self.0 {
            Kind::Memory(spool) => spool.push(entry),
            Kind::File(spool, _) => spool.write(vec![entry]).await,
        }
    }

    /// Returns the entries that wait, marked as late.
    pub(super) async fn take(&self) -> Result<Vec<Entry>, SinkUnavailable> {
        let mut entries = match &self.0 {
            Kind::Memory(spool) => spool.entries(),
            Kind::File(spool, _) => spool.run(|file| Ok(file.take()?)).await?,
        };
        for entry in &mut entries {
            entry.late = true;
        }
        Ok(entries)
    }

    /// Forgets the entries that were taken.
    pub(super) async fn forget(&self, entries: usize) -> Result<(), SinkUnavailable> {
        match &self.0 {
            Kind::Memory(spool) => {
                spool.forget(entries);
                Ok(())
            }
            Kind::File(spool, _) => spool.run(|file| Ok(file.forget()?)).await,
        }
    }
}

/// A call that has begun in a spool.
#[derive(Debug)]
pub(super) enum SpoolRecord {
    Memory(MemoryRecord),
    File(JsonLinesRecord),
}

impl AuditRecord for SpoolRecord {
    async fn sending(&mut self) -> Result<(), SinkUnavailable> {
        match self {
            Self::Memory(record) => record.sending().await,
            Self::File(record) => record.sending().await,
        }
    }

    async fn end(self, end: End) -> Result<(), SinkUnavailable> {
        match self {
            Self::Memory(record) => record.end(end).await,
            Self::File(record) => record.end(end).await,
        }
    }

    fn end_on_drop(self, end: End) {
        match self {
            Self::Memory(record) => record.end_on_drop(end),
            Self::File(record) => record.end_on_drop(end),
        }
    }
}
