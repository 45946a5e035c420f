//! [`JsonLinesSink`], an audit in a file of JSON lines.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use tokio::sync::Semaphore;

use super::{
    AuditSink, Begin, Entry, Event, FollowUp, JsonLinesRecord, SinkUnavailable,
    queue::{Command, Queue, Then, Write, done, line, written},
    telemetry,
    writer::{Depth, Writer},
};
use crate::CallId;

/// How many calls may be in flight at once, and how many follow-ups may wait.
const SLOTS: usize = 4096;

/// An audit in a file of JSON lines, one [`Entry`] a line. Clones share the file.
///
/// A thread appends the entries and waits for `fdatasync`. Entries that come in meanwhile become durable
/// together. After a rotation, or when the file is gone, the thread begins a new one. An append that fails is
/// undone, so that the file holds whole entries only; a process that is killed may leave half a line, which a
/// reader skips.
///
/// The thread ends with the last clone and the last call. An entry is durable when its future is ready;
/// [`flush`](Self::flush) also waits for those that no future waits for.
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
#[derive(Clone)]
pub struct JsonLinesSink {
    path: PathBuf,
    queue: Arc<Queue>,
    calls: Arc<Semaphore>,
    follow_ups: Arc<Semaphore>,
    dropped: Arc<Mutex<u64>>,
    depth: Depth,
}

impl JsonLinesSink {
    /// Opens the file, or creates it. It must have no other writer.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or the thread cannot be started.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let (queue, commands) = mpsc::channel();
        let (queue, depth) = (Arc::new(queue), Depth::default());
        Writer::start(path, commands, Arc::downgrade(&queue), depth.clone())?;
        Ok(Self {
            path: path.to_owned(),
            queue,
            calls: Arc::new(Semaphore::new(SLOTS)),
            follow_ups: Arc::new(Semaphore::new(SLOTS)),
            dropped: Arc::default(),
            depth,
        })
    }

    /// Waits until everything is durable that was written before.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. Ends and follow-ups are written once it can be.
    pub async fn flush(&self) -> Result<(), SinkUnavailable> {
        self.late(Vec::new()).await
    }

    /// Returns how many follow-ups were dropped, because too many waited.
    pub fn dropped_follow_ups(&self) -> u64 {
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many entries were written and not forgotten.
    pub(super) fn len(&self) -> usize {
        self.depth.entries()
    }

    /// Moves all entries out of the file, and returns them.
    pub(super) async fn take(&self) -> Result<Vec<Entry>, SinkUnavailable> {
        written(&self.queue, Command::Take).await
    }

    /// Forgets the entries that were taken.
    pub(super) async fn forget(&self) -> Result<(), SinkUnavailable> {
        written(&self.queue, Command::Forget).await
    }

    pub(super) async fn append(&self, entry: &Entry) -> Result<(), SinkUnavailable> {
        let lines = line(entry);
        written(&self.queue, |written| done(lines, written)).await
    }
}

impl AuditSink for JsonLinesSink {
    type Record = JsonLinesRecord;

    async fn begin(&self, call: CallId, begin: Begin) -> Result<JsonLinesRecord, SinkUnavailable> {
        let lines = line(&Entry::new(call, Event::Begin(begin)));
        let permit = Arc::clone(&self.calls).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        written(&self.queue, |written| {
            let then = Then::Begun(call, permit, written);
            Command::Write(Write { lines, then })
        })
        .await
    }

    async fn late(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        let lines = entries.iter().map(line).collect();
        written(&self.queue, |written| done(lines, written)).await
    }

    fn follow_up(&self, call: CallId, event: FollowUp) {
        if let Ok(permit) = Arc::clone(&self.follow_ups).try_acquire_owned() {
            let lines = line(&Entry::new(call, Event::FollowUp(event)));
            let then = Then::Owed(None, permit);
            drop(self.queue.send(Command::Write(Write { lines, then })));
        } else {
            *self.dropped.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            telemetry::follow_up_dropped(call);
        }
    }
}

impl fmt::Debug for JsonLinesSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesSink")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
