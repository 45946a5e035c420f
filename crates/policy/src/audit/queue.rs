//! The queue of a [`Writer`](super::writer::Writer), and [`JsonLinesRecord`], a call that has a slot in it.

use std::{
    fmt,
    sync::{Arc, mpsc::Sender},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{AuditRecord, End, Entry, Event, SinkUnavailable};
use crate::CallId;

/// The queue of a writer. All clones of the sink share it with the records of calls in flight, and the
/// thread ends with the last of them.
pub(super) type Queue = Sender<Command>;

pub(super) type Written<T = ()> = oneshot::Sender<Result<T, SinkUnavailable>>;

pub(super) enum Command {
    Write(Write),
    /// Moves all entries out of the file, and returns them.
    Take(Written<Vec<Entry>>),
    /// Forgets the entries that were moved.
    Forget(Written),
}

/// Lines to write.
pub(super) struct Write {
    pub(super) lines: String,
    pub(super) then: Then,
}

/// The next step once the lines are durable, or could not be written.
pub(super) enum Then {
    /// The call has begun. The permit is its slot in the queue.
    Begun(CallId, OwnedSemaphorePermit, Written<JsonLinesRecord>),
    Done(Written),
    /// The lines are owed: they are written again until that succeeds.
    Owed(Option<Written>, OwnedSemaphorePermit),
}

impl Write {
    /// Returns whether the lines need not be written any more.
    pub(super) fn is_given_up(&self) -> bool {
        match &self.then {
            Then::Begun(_, _, written) => written.is_closed(),
            Then::Done(written) => written.is_closed(),
            Then::Owed(..) => false,
        }
    }
}

/// Sends a command, and waits until it was carried out.
pub(super) async fn written<T>(
    queue: &Queue,
    command: impl FnOnce(Written<T>) -> Command,
) -> Result<T, SinkUnavailable> {
    let (written, result) = oneshot::channel();
    // Without a thread the command is dropped, and with it the other end.
    drop(queue.send(command(written)));
    let result = result.await;
    result.unwrap_or_else(|_| Err(SinkUnavailable::new("the writer's thread has ended")))
}

/// Returns the command to write lines.
pub(super) fn done(lines: String, written: Written) -> Command {
    let then = Then::Done(written);
    Command::Write(Write { lines, then })
}

/// Returns an entry as a line.
pub(super) fn line(entry: &Entry) -> String {
    let json = serde_json::to_string(entry);
    json.expect("an entry has string keys only") + "\n"
}

/// Returns the write of an end.
pub(super) fn owed_end(
    call: CallId,
    end: End,
    written: Option<Written>,
    permit: OwnedSemaphorePermit,
) -> Write {
    Write {
        lines: line(&Entry::new(call, Event::End(end))),
        then: Then::Owed(written, permit),
    }
}

/// The [`AuditRecord`] of a [`JsonLinesSink`](super::JsonLinesSink).
pub struct JsonLinesRecord {
    queue: Arc<Queue>,
    call: CallId,
    /// The slot of the end in the queue; `None` once that was written.
    permit: Option<OwnedSemaphorePermit>,
}

impl JsonLinesRecord {
    pub(super) fn new(queue: Arc<Queue>, call: CallId, permit: OwnedSemaphorePermit) -> Self {
        let permit = Some(permit);
        Self {
            queue,
            call,
            permit,
        }
    }

    fn finish(&mut self, end: End, written: Option<Written>) {
        if let Some(permit) = self.permit.take() {
            let write = owed_end(self.call, end, written, permit);
            drop(self.queue.send(Command::Write(write)));
        }
    }
}

impl AuditRecord for JsonLinesRecord {
    async fn sending(&mut self) -> Result<(), SinkUnavailable> {
        let lines = line(&Entry::new(self.call, Event::Sending));
        written(&self.queue, |written| done(lines, written)).await
    }

    fn end(mut self, end: End) -> impl Future<Output = Result<(), SinkUnavailable>> + Send {
        let (written, result) = oneshot::channel();
        self.finish(end, Some(written));
        async move {
            let result = result.await;
            result.unwrap_or_else(|_| Err(SinkUnavailable::new("the writer's thread has ended")))
        }
    }

    fn end_on_drop(mut self, end: End) {
        self.finish(end, None);
    }
}

impl Drop for JsonLinesRecord {
    fn drop(&mut self) {
        self.finish(End::Abandoned, None);
    }
}

impl fmt::Debug for JsonLinesRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesRecord")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
