//! [`AuditWriter`], a sink over an [`AuditLog`] with a thread of its own.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Sender},
    },
};

use clerk_actor_tokens::BoxError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    AuditRecord, AuditSink, Begin, End, Entry, Event, FollowUp, SinkUnavailable, telemetry,
    writer_thread::{self, Command, Then, Write, Written},
};
use crate::CallId;

/// How many calls may be in flight at once, and how many follow-ups may wait.
const SLOTS: usize = 4096;

/// Where an [`AuditWriter`] writes entries durably: a file, a database.
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
    shared: Arc<Shared<L>>,
}

pub(super) struct Shared<L> {
    queue: Sender<Command<L>>,
    calls: Arc<Semaphore>,
    follow_ups: Arc<Semaphore>,
    dropped: Mutex<u64>,
}

impl<L: AuditLog> AuditWriter<L> {
    /// Starts the thread of a log.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(log: L) -> io::Result<Self> {
        let (queue, commands) = mpsc::channel();
        let shared = Arc::new(Shared {
            queue,
            calls: Arc::new(Semaphore::new(SLOTS)),
            follow_ups: Arc::new(Semaphore::new(SLOTS)),
            dropped: Mutex::default(),
        });
        writer_thread::start(log, commands, Arc::downgrade(&shared))?;
        Ok(Self { shared })
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
        self.send(|written| {
            Command::Run(Box::new(|log| {
                let _ = written.send(task(log).map_err(SinkUnavailable::new));
            }))
        })
        .await
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
        self.send(|written| {
            let then = Then::Done(written);
            Command::Write(Write { entries, then })
        })
        .await
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
        let dropped = self.shared.dropped.lock();
        *dropped.unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command, and waits until it was carried out.
    async fn send<T>(
        &self,
        command: impl FnOnce(Written<T>) -> Command<L>,
    ) -> Result<T, SinkUnavailable> {
        let (written, result) = oneshot::channel();
        // Without a thread the command is dropped, and with it the other end.
        drop(self.shared.queue.send(command(written)));
        received(result).await
    }
}

async fn received<T>(
    result: oneshot::Receiver<Result<T, SinkUnavailable>>,
) -> Result<T, SinkUnavailable> {
    let result = result.await;
    result.unwrap_or_else(|_| Err(SinkUnavailable::new("the writer's thread has ended")))
}

impl<L: AuditLog> AuditSink for AuditWriter<L> {
    type Record = WriterRecord<L>;

    async fn begin(&self, call: CallId, begin: Begin) -> Result<WriterRecord<L>, SinkUnavailable> {
        let entries = vec![Entry::new(call, Event::Begin(begin))];
        let permit = Arc::clone(&self.shared.calls).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        self.send(|written| {
            let then = Then::Begun(call, permit, written);
            Command::Write(Write { entries, then })
        })
        .await
    }

    async fn late(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        self.write(entries).await
    }

    fn follow_up(&self, call: CallId, event: FollowUp) {
        let shared = &self.shared;
        if let Ok(permit) = Arc::clone(&shared.follow_ups).try_acquire_owned() {
            let write = Write::owed(call, Event::FollowUp(event), None, permit);
            drop(shared.queue.send(Command::Write(write)));
        } else {
            *shared
                .dropped
                .lock()
                .unwrap_or_else(PoisonError::into_inner) += 1;
            telemetry::follow_up_dropped(call);
        }
    }
}

impl<L> Clone for AuditWriter<L> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl<L> fmt::Debug for AuditWriter<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditWriter").finish_non_exhaustive()
    }
}

/// The [`AuditRecord`] of an [`AuditWriter`].
pub struct WriterRecord<L> {
    writer: AuditWriter<L>,
    call: CallId,
    /// The slot of the end in the queue; `None` once that was written.
    permit: Option<OwnedSemaphorePermit>,
}

impl<L> WriterRecord<L> {
    pub(super) fn new(shared: Arc<Shared<L>>, call: CallId, permit: OwnedSemaphorePermit) -> Self {
        let (writer, permit) = (AuditWriter { shared }, Some(permit));
        Self {
            writer,
            call,
            permit,
        }
    }

    fn finish(&mut self, end: End, written: Option<Written>) {
        if let Some(permit) = self.permit.take() {
            let write = Write::owed(self.call, Event::End(end), written, permit);
            drop(self.writer.shared.queue.send(Command::Write(write)));
        }
    }
}

impl<L: AuditLog> AuditRecord for WriterRecord<L> {
    async fn sending(&mut self) -> Result<(), SinkUnavailable> {
        let entry = Entry::new(self.call, Event::Sending);
        self.writer.write(vec![entry]).await
    }

    fn end(mut self, end: End) -> impl Future<Output = Result<(), SinkUnavailable>> + Send {
        let (written, result) = oneshot::channel();
        self.finish(end, Some(written));
        received(result)
    }

    fn end_on_drop(mut self, end: End) {
        self.finish(end, None);
    }
}

impl<L> Drop for WriterRecord<L> {
    fn drop(&mut self) {
        self.finish(End::Abandoned, None);
    }
}

impl<L> fmt::Debug for WriterRecord<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterRecord")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
