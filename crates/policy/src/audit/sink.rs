//! [`AuditSink`], where the audit is written, and [`AuditLog`], where a thread writes it.

use std::{error::Error as StdError, fmt, sync::Arc};

use clerk_actor_tokens::BoxError;

use super::{Begin, End, Entry, FollowUp};
use crate::CallId;

/// Where the audit is written: a database, a file, a queue.
///
/// **Every call that began has exactly one end.** A sink that has begun a call owes its end, whatever
/// happens to the futures below: it writes an end that it could not write as soon as it can.
///
/// A future that writes is dropped after two seconds, or with its call. A sink's writer is a thread and not
/// a task, because a runtime that shuts down drops its tasks in any order.
///
/// [`MemorySink`](super::MemorySink) and [`JsonLinesSink`](super::JsonLinesSink) are sinks. An
/// [`AuditWriter`](super::AuditWriter) makes a sink of an [`AuditLog`](super::AuditLog), and does all of the above.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no audit sink",
    label = "an `AuditLayer` needs an `AuditSink`",
    note = "`MemorySink`, `JsonLinesSink` and `AuditWriter` are sinks"
)]
pub trait AuditSink: Send + Sync + 'static {
    /// A call that has begun.
    type Record: AuditRecord;

    /// Writes that a call begins. `Ok` means that the entry is durable.
    ///
    /// If the future is dropped after the entry may have become durable, the sink writes
    /// [`End::Abandoned`].
    ///
    /// # Errors
    ///
    /// When the entry is not durable. Then the call has no end either, or it is [`End::Abandoned`].
    fn begin(
        &self,
        call: CallId,
        begin: Begin,
    ) -> impl Future<Output = Result<Self::Record, SinkUnavailable>> + Send;

    /// Writes entries that waited in a [`Spool`](super::Spool) as they are, all or none. `Ok` means that they
    /// are durable. It may be called again with entries that were written: the sink or its readers keep one of
    /// each. No entry at all is a probe of the sink.
    ///
    /// # Errors
    ///
    /// When the entries are not durable.
    fn late(&self, entries: Vec<Entry>)
    -> impl Future<Output = Result<(), SinkUnavailable>> + Send;

    /// Writes a fact that became known after a call. It may run inside `Drop` and must neither block nor panic.
    ///
    /// The queue of a sink has a slot for one follow-up of each call. Further ones may be dropped, which the
    /// sink counts.
    fn follow_up(&self, call: CallId, event: FollowUp);
}

/// A call that has begun, in an [`AuditSink`].
///
/// If it is dropped without an end, the sink writes [`End::Abandoned`].
pub trait AuditRecord: Send + 'static {
    /// Writes that the call is about to be sent. `Ok` means that the entry is durable.
    ///
    /// # Errors
    ///
    /// When the entry is not durable.
    fn sending(&mut self) -> impl Future<Output = Result<(), SinkUnavailable>> + Send;

    /// Writes the end. `Ok` means that it is durable.
    ///
    /// The sink writes the end even if the future is dropped or fails.
    ///
    /// # Errors
    ///
    /// When the end is not durable yet.
    fn end(self, end: End) -> impl Future<Output = Result<(), SinkUnavailable>> + Send;

    /// Writes the end of a call that was dropped. It runs inside `Drop` and must neither block nor panic:
    /// its slot in the queue was reserved with the begin.
    fn end_on_drop(self, end: End);
}

impl<K: AuditSink> AuditSink for Arc<K> {
    type Record = K::Record;

    fn begin(
        &self,
        call: CallId,
        begin: Begin,
    ) -> impl Future<Output = Result<Self::Record, SinkUnavailable>> + Send {
        (**self).begin(call, begin)
    }

    fn late(
        &self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<(), SinkUnavailable>> + Send {
        (**self).late(entries)
    }

    fn follow_up(&self, call: CallId, event: FollowUp) {
        (**self).follow_up(call, event);
    }
}

/// Where an [`AuditWriter`](super::AuditWriter) writes entries durably: a file, a database.
///
/// It runs on the writer's thread alone, so that it may block and needs no lock. A panic ends the thread,
/// and with it the sink.
pub trait AuditLog: Send + 'static {
    /// Writes entries, all or none, and returns once they are durable. It may be called again with entries
    /// that were written. No entry at all is a probe: whether entries could be written now.
    ///
    /// # Errors
    ///
    /// When the entries are not durable. The ends and follow-ups among them are written again until that
    /// succeeds.
    fn append(&mut self, entries: &[Entry]) -> Result<(), BoxError>;
}

/// The error of a sink that cannot write now.
#[derive(Debug)]
pub struct SinkUnavailable {
    source: BoxError,
}

impl SinkUnavailable {
    /// Creates the error with its reason: an error, or a text. `Debug` shows it.
    pub fn new(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self { source }
    }
}

impl fmt::Display for SinkUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not write the audit")
    }
}

impl StdError for SinkUnavailable {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
