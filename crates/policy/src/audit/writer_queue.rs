//! The queue of an [`AuditWriter`](super::AuditWriter): its commands, and the calls that have a slot in it.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{AuditLog, AuditRecord, End, Entry, Event, SinkUnavailable};
use crate::CallId;

/// How many calls may be in flight at once, and how many follow-ups may wait.
const SLOTS: usize = 4096;

pub(super) struct Queue<L> {
    commands: Sender<Command<L>>,
    pub(super) calls: Arc<Semaphore>,
    pub(super) follow_ups: Arc<Semaphore>,
    /// How many follow-ups had no slot.
    pub(super) dropped: Mutex<u64>,
}

pub(super) enum Command<L> {
    Write(Write<L>),
    Run(Box<dyn FnOnce(&mut L) + Send>),
}

/// Entries to write.
pub(super) struct Write<L> {
    pub(super) entries: Vec<Entry>,
    pub(super) then: Then<L>,
}

/// The next step once the entries are durable, or could not be written.
pub(super) enum Then<L> {
    /// The call has begun. The permit is its slot in the queue.
    Begun(CallId, OwnedSemaphorePermit, Written<WriterRecord<L>>),
    Done(Written),
    /// The entries are owed: they are written again until that succeeds.
    Owed(Option<Written>, OwnedSemaphorePermit),
}

pub(super) type Written<T = ()> = oneshot::Sender<Result<T, SinkUnavailable>>;

impl<L> Queue<L> {
    pub(super) fn new() -> (Arc<Self>, Receiver<Command<L>>) {
        let (sender, commands) = mpsc::channel();
        let queue = Self {
            commands: sender,
            calls: Arc::new(Semaphore::new(SLOTS)),
            follow_ups: Arc::new(Semaphore::new(SLOTS)),
            dropped: Mutex::default(),
        };
        (Arc::new(queue), commands)
    }

    /// Queues a command. Without a thread the command is dropped, and with it the sender of its result.
    pub(super) fn push(&self, command: Command<L>) {
        drop(self.commands.send(command));
    }

    /// Queues a command, and waits until it was carried out.
    pub(super) async fn carry_out<T>(
        &self,
        command: impl FnOnce(Written<T>) -> Command<L>,
    ) -> Result<T, SinkUnavailable> {
        let (written, result) = oneshot::channel();
        self.push(command(written));
        received(result).await
    }

    /// Writes entries, all or none. `Ok` means that they are durable.
    pub(super) async fn write(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        self.carry_out(|written| {
            let then = Then::Done(written);
            Command::Write(Write { entries, then })
        })
        .await
    }
}

async fn received<T>(
    result: oneshot::Receiver<Result<T, SinkUnavailable>>,
) -> Result<T, SinkUnavailable> {
    let result = result.await;
    result.unwrap_or_else(|_| Err(SinkUnavailable::new("the writer's thread has ended")))
}

impl<L> Write<L> {
    pub(super) fn owed(
        call: CallId,
        event: Event,
        written: Option<Written>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            entries: vec![Entry::new(call, event)],
            then: Then::Owed(written, permit),
        }
    }

    /// Returns whether the entries need not be written any more.
    pub(super) fn is_given_up(&self) -> bool {
        match &self.then {
            Then::Begun(_, _, written) => written.is_closed(),
            Then::Done(written) => written.is_closed(),
            Then::Owed(..) => false,
        }
    }
}

/// The [`AuditRecord`] of an [`AuditWriter`](super::AuditWriter).
pub struct WriterRecord<L> {
    queue: Arc<Queue<L>>,
    call: CallId,
    /// The slot of the end in the queue; `None` once that was written.
    permit: Option<OwnedSemaphorePermit>,
}

impl<L> WriterRecord<L> {
    pub(super) fn new(queue: Arc<Queue<L>>, call: CallId, permit: OwnedSemaphorePermit) -> Self {
        let permit = Some(permit);
        Self {
            queue,
            call,
            permit,
        }
    }

    fn finish(&mut self, end: End, written: Option<Written>) {
        if let Some(permit) = self.permit.take() {
            let write = Write::owed(self.call, Event::End(end), written, permit);
            self.queue.push(Command::Write(write));
        }
    }
}

impl<L: AuditLog> AuditRecord for WriterRecord<L> {
    async fn sending(&mut self) -> Result<(), SinkUnavailable> {
        let entry = Entry::new(self.call, Event::Sending);
        self.queue.write(vec![entry]).await
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
