//! [`Writer`], the thread that writes a file of lines.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::{
    End, Entry, JsonLinesRecord, SinkUnavailable,
    log_file::LogFile,
    queue::{Command, Queue, Then, Write, owed_end},
    telemetry,
};

/// How many entries are made durable together at most.
const BATCH: usize = 1024;

/// How long the thread waits before it writes again what it owes.
const RETRY: Duration = Duration::from_secs(1);

/// The thread that writes a file.
pub(super) struct Writer {
    log: LogFile,
    path: PathBuf,
    commands: Receiver<Command>,
    queue: Weak<Queue>,
    owed: Vec<Write>,
    is_failing: bool,
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

impl Writer {
    /// Starts the thread of the file at this path.
    pub(super) fn start(
        path: &Path,
        commands: Receiver<Command>,
        queue: Weak<Queue>,
        depth: Depth,
    ) -> io::Result<()> {
        let writer = Self {
            log: LogFile::open(path)?,
            path: path.to_owned(),
            commands,
            queue,
            owed: Vec::new(),
            is_failing: false,
            depth,
        };
        if !writer.log.is_empty() || writer.taken().exists() {
            // How many there are is known after the first take.
            writer.depth.lock().entries = 1;
        }
        let thread = thread::Builder::new().name("actor-token-audit".into());
        thread.spawn(|| writer.run()).map(drop)
    }

    fn run(mut self) {
        loop {
            let first = match self.owed.is_empty() {
                true => self.commands.recv().map_err(Into::into),
                false => self.commands.recv_timeout(RETRY),
            };
            // No handle is left. Lines that cannot be written now are lost.
            let is_last = matches!(first, Err(RecvTimeoutError::Disconnected));
            // Entries that came in meanwhile become durable together.
            let meanwhile = self.commands.try_iter().take(BATCH);
            let commands: Vec<_> = first.into_iter().chain(meanwhile).collect();
            let mut batch = mem::take(&mut self.owed);
            for command in commands {
                match command {
                    Command::Write(write) if write.is_given_up() => {}
                    Command::Write(write) => batch.push(write),
                    Command::Take(written) => {
                        self.write(mem::take(&mut batch));
                        let _ = written.send(self.take());
                    }
                    Command::Forget(written) => {
                        let _ = written.send(self.forget().map_err(SinkUnavailable::new));
                    }
                }
            }
            self.write(batch);
            if is_last {
                return;
            }
        }
    }

    fn write(&mut self, batch: Vec<Write>) {
        if batch.is_empty() {
            return;
        }
        let lines: String = batch.iter().map(|write| &*write.lines).collect();
        let result = self.log.append(lines.as_bytes());
        if result.is_ok() {
            self.depth.lock().entries += lines.lines().count();
        }
        if result.is_err() != self.is_failing {
            self.is_failing = result.is_err();
            telemetry::file(&self.path, result.as_ref().err());
        }
        for write in batch {
            self.complete(write, &result);
        }
    }

    fn complete(&mut self, write: Write, result: &io::Result<()>) {
        let unavailable = |error: &io::Error| SinkUnavailable::new(error.to_string());
        let result = result.as_ref().map(|_| ()).map_err(unavailable);
        match (write.then, result) {
            (Then::Begun(call, permit, written), Ok(())) => {
                // A record that does not arrive writes the end when it is dropped here.
                match self.queue.upgrade() {
                    Some(queue) => {
                        let _ = written.send(Ok(JsonLinesRecord::new(queue, call, permit)));
                    }
                    None => self.owed.push(owed_end(call, End::Abandoned, None, permit)),
                }
            }
            (Then::Begun(_, _, written), Err(error)) => drop(written.send(Err(error))),
            (Then::Done(written), result) => drop(written.send(result)),
            (Then::Owed(written, _), Ok(())) => {
                written.map(|written| written.send(Ok(())));
            }
            (Then::Owed(written, permit), Err(error)) => {
                written.map(|written| written.send(Err(error)));
                let (lines, then) = (write.lines, Then::Owed(None, permit));
                self.owed.push(Write { lines, then });
            }
        }
    }

    /// Returns where the entries are that were moved out of the file.
    fn taken(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".replay");
        path.into()
    }

    fn take(&mut self) -> Result<Vec<Entry>, SinkUnavailable> {
        let taken = self.taken();
        let mut found = Vec::new();
        if !self.log.is_empty() || taken.exists() {
            let text = self.log.take(&taken).map_err(SinkUnavailable::new)?;
            // The process may have been killed within a line.
            found = entries(&text);
        }
        let mut depth = self.depth.lock();
        (depth.entries, depth.taken) = (found.len(), found.len());
        Ok(found)
    }

    fn forget(&self) -> io::Result<()> {
        let taken = self.taken();
        if taken.exists() {
            fs::remove_file(taken)?;
        }
        let mut depth = self.depth.lock();
        depth.entries -= mem::take(&mut depth.taken);
        Ok(())
    }
}

/// Returns the entries of a text, without the lines that are none.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
