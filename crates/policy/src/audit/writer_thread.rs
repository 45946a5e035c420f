//! The thread of an [`AuditWriter`](super::AuditWriter).

use std::{
    io, mem,
    sync::{
        Weak,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use clerk_actor_tokens::BoxError;

use super::{
    AuditLog, End, Entry, Event, SinkUnavailable, telemetry,
    writer_queue::{Command, Queue, Then, Write, WriterRecord},
};

/// How many commands are carried out together at most.
const BATCH: usize = 1024;

/// How long the thread waits before it writes again what it owes.
const RETRY: Duration = Duration::from_secs(1);

struct WriterThread<L> {
    log: L,
    commands: Receiver<Command<L>>,
    queue: Weak<Queue<L>>,
    owed: Vec<Write<L>>,
    is_failing: bool,
}

/// Starts the thread. It ends when the queue has no sender.
pub(super) fn start<L: AuditLog>(
    log: L,
    commands: Receiver<Command<L>>,
    queue: Weak<Queue<L>>,
) -> io::Result<()> {
    let thread = WriterThread {
        log,
        commands,
        queue,
        owed: Vec::new(),
        is_failing: false,
    };
    let builder = thread::Builder::new().name("actor-token-audit".into());
    builder.spawn(|| thread.run()).map(drop)
}

impl<L: AuditLog> WriterThread<L> {
    fn run(mut self) {
        loop {
            let first = match self.owed.is_empty() {
                true => self.commands.recv().map_err(Into::into),
                false => self.commands.recv_timeout(RETRY),
            };
            // No handle is left. Entries that cannot be written now are lost.
            let is_last = matches!(first, Err(RecvTimeoutError::Disconnected));
            // Entries that came in meanwhile become durable together.
            let meanwhile = self.commands.try_iter().take(BATCH);
            let commands: Vec<_> = first.into_iter().chain(meanwhile).collect();
            let mut batch = mem::take(&mut self.owed);
            for command in commands {
                match command {
                    Command::Write(write) if write.is_given_up() => {}
                    Command::Write(write) => batch.push(write),
                    Command::Run(task) => {
                        self.write(mem::take(&mut batch));
                        task(&mut self.log);
                    }
                }
            }
            self.write(batch);
            if is_last {
                return;
            }
        }
    }

    fn write(&mut self, batch: Vec<Write<L>>) {
        if batch.is_empty() {
            return;
        }
        let mut entries = Vec::with_capacity(batch.len());
        let writes: Vec<_> = batch
            .into_iter()
            .map(|Write { entries: own, then }| {
                let count = own.len();
                entries.extend(own);
                (count, then)
            })
            .collect();
        let result = self.log.append(&entries);
        if result.is_err() != self.is_failing {
            self.is_failing = result.is_err();
            telemetry::log(result.as_ref().err());
        }
        let mut entries = entries.into_iter();
        for (count, then) in writes {
            self.complete(entries.by_ref().take(count).collect(), then, &result);
        }
    }

    fn complete(&mut self, entries: Vec<Entry>, then: Then<L>, result: &Result<(), BoxError>) {
        let unavailable = |error: &BoxError| SinkUnavailable::new(error.to_string());
        let result = result.as_ref().map(|_| ()).map_err(unavailable);
        match (then, result) {
            (Then::Begun(call, permit, written), Ok(())) => {
                // A record that does not arrive writes the end when it is dropped here.
                match self.queue.upgrade() {
                    Some(queue) => {
                        let _ = written.send(Ok(WriterRecord::new(queue, call, permit)));
                    }
                    None => {
                        let end = Event::End(End::Abandoned);
                        self.owed.push(Write::owed(call, end, None, permit));
                    }
                }
            }
            (Then::Begun(_, _, written), Err(error)) => drop(written.send(Err(error))),
            (Then::Done(written), result) => drop(written.send(result)),
            (Then::Owed(written, _), Ok(())) => {
                written.map(|written| written.send(Ok(())));
            }
            (Then::Owed(written, permit), Err(error)) => {
                written.map(|written| written.send(Err(error)));
                let then = Then::Owed(None, permit);
                self.owed.push(Write { entries, then });
            }
        }
    }
}
