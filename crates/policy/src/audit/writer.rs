//! [`AuditWriter`], a sink over an [`AuditLog`] with a thread of its own.

use std::{
    fmt, io,
    sync::{Arc, PoisonError},
};

use clerk_actor_tokens::BoxError;

use super::{
    AuditLog, AuditSink, Begin, Entry, Event, FollowUp, SinkUnavailable, telemetry,
    writer_queue::{Command, Queue, Then, Write, WriterRecord, Written},
    writer_thread,
};
use crate::CallId;

/// An [`AuditSink`] over an [`AuditLog`]. Clones share the log.
///
/// A thread owns the log. Entries that come in while it writes become durable together with the next
/// [`append`](AuditLog::append). The thread ends with the last clone and the last call.
///
/// An entry is durable when its future is ready. [`flush`](Self::flush) also waits for those that no future
/// waits for.
///
/// ```
/// use clerk_actor_tokens::{BoxError, ClientBuilder, sandbox::Sandbox};
/// use clerk_actor_tokens_policy::audit::{
///     AuditBarrierLayer, AuditLayer, AuditLog, AuditWriter, Entry,
/// };
///
/// /// A table with a column of JSON.
/// struct Table(Vec<String>);
///
/// impl AuditLog for Table {
///     fn append(&mut self, entries: &[Entry]) -> Result<(), BoxError> {
///         let rows: Result<Vec<_>, _> = entries.iter().map(serde_json::to_string).collect();
///         self.0.extend(rows?);
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let (sandbox, writer) = (Sandbox::new(), AuditWriter::start(Table(Vec::new()))?);
/// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
///     .observe_layer(AuditLayer::new(writer.clone()))
///     .call_layer(AuditBarrierLayer::new())
///     .build()?;
/// client.revoke("act_1").await.unwrap_err();
/// assert_eq!(writer.run(|table| Ok(table.0.len())).await?, 3);
/// # Ok(())
/// # }
/// ```
pub struct AuditWriter<L> {
    queue: Arc<Queue<L>>,
}

impl<L: AuditLog> AuditWriter<L> {
    /// Starts the thread of a log.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(log: L) -> io::Result<Self> {
        let (queue, commands) = Queue::new();
        writer_thread::start(log, commands, Arc::downgrade(&queue))?;
        Ok(Self { queue })
    }

    /// Runs a task on the thread of the log, after everything that was queued before, and returns its result.
    ///
    /// # Errors
    ///
    /// The error of the task.
    ///
    /// # Cancel safety
    ///
    /// The task runs even if the future is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut L) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, SinkUnavailable> {
        let run = |written: Written<T>| {
            Command::Run(Box::new(|log| {
                let _ = written.send(task(log).map_err(SinkUnavailable::new));
            }))
        };
        self.queue.carry_out(run).await
    }

    /// Writes entries as they are, all or none. `Ok` means that they are durable.
    ///
    /// # Errors
    ///
    /// When the entries are not durable.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entries are written or not.
    pub async fn write(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        self.queue.write(entries).await
    }

    /// Waits until everything is durable that was written before.
    ///
    /// # Errors
    ///
    /// When the log cannot be written. Ends and follow-ups are written once it can be.
    pub async fn flush(&self) -> Result<(), SinkUnavailable> {
        self.write(Vec::new()).await
    }

    /// Returns how many follow-ups were dropped, because too many waited.
    pub fn dropped_follow_ups(&self) -> u64 {
        let dropped = self.queue.dropped.lock();
        *dropped.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: AuditLog> AuditSink for AuditWriter<L> {
    type Record = WriterRecord<L>;

    async fn begin(&self, call: CallId, begin: Begin) -> Result<WriterRecord<L>, SinkUnavailable> {
        let entries = vec![Entry::new(call, Event::Begin(begin))];
        let permit = Arc::clone(&self.queue.calls).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let write = |written| {
            let then = Then::Begun(call, permit, written);
            Command::Write(Write { entries, then })
        };
        self.queue.carry_out(write).await
    }

    async fn late(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        self.write(entries).await
    }

    fn follow_up(&self, call: CallId, event: FollowUp) {
        let queue = &self.queue;
        if let Ok(permit) = Arc::clone(&queue.follow_ups).try_acquire_owned() {
            let write = Write::owed(call, Event::FollowUp(event), None, permit);
            queue.push(Command::Write(write));
        } else {
            *queue.dropped.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            telemetry::follow_up_dropped(call);
        }
    }
}

impl<L> Clone for AuditWriter<L> {
    fn clone(&self) -> Self {
        let queue = Arc::clone(&self.queue);
        Self { queue }
    }
}

impl<L> fmt::Debug for AuditWriter<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditWriter").finish_non_exhaustive()
    }
}
