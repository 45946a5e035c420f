//! An audit in memory that is slow, fails, hangs or panics on demand, and keeps the contract of a sink.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    collections::VecDeque,
    future::{Future, pending},
    mem,
    panic::resume_unwind,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens_policy::{
    CallId,
    audit::{
        AuditRecord, AuditSink, Begin, End, Entry, FollowUp, MemoryRecord, MemorySink,
        SinkUnavailable,
    },
};

/// The behaviour of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Up,
    /// Writes after this time.
    Delay(Duration),
    /// Writes at once, and is ready after this time.
    DelayAfter(Duration),
    Fails,
    /// Writes, and fails.
    FailsAfter,
    Hangs,
    /// Writes, and hangs.
    HangsAfter,
    Panics,
}

/// The sink. Clones share everything.
#[derive(Clone)]
pub(crate) struct ScriptedSink {
    pub(crate) memory: MemorySink,
    script: Arc<Mutex<Script>>,
    /// Breaks the contract: an end that cannot be written is forgotten.
    loses_ends: bool,
}

struct Script {
    once: VecDeque<Mode>,
    then: Mode,
    writes: usize,
}

impl ScriptedSink {
    pub(crate) fn new() -> Self {
        let script = Script {
            once: VecDeque::new(),
            then: Mode::Up,
            writes: 0,
        };
        Self {
            memory: MemorySink::new(),
            script: Arc::new(Mutex::new(script)),
            loses_ends: false,
        }
    }

    pub(crate) fn losing_ends(self) -> Self {
        Self {
            loses_ends: true,
            ..self
        }
    }

    /// Sets the mode of all writes from now on.
    pub(crate) fn set(&self, mode: Mode) {
        let mut script = self.script.lock().unwrap();
        script.once.clear();
        script.then = mode;
    }

    /// Sets the mode of the next write that has none.
    pub(crate) fn once(&self, mode: Mode) {
        self.script.lock().unwrap().once.push_back(mode);
    }

    /// Returns how many writes have begun.
    pub(crate) fn writes(&self) -> usize {
        self.script.lock().unwrap().writes
    }

    fn mode(&self) -> Mode {
        let mut script = self.script.lock().unwrap();
        script.writes += 1;
        script.once.pop_front().unwrap_or(script.then)
    }
}

async fn act<T>(mode: Mode, write: impl FnOnce() -> T) -> Result<T, SinkUnavailable> {
    match mode {
        Mode::Up => Ok(write()),
        Mode::Delay(time) => {
            tokio::time::sleep(time).await;
            Ok(write())
        }
        Mode::DelayAfter(time) => {
            let written = write();
            tokio::time::sleep(time).await;
            Ok(written)
        }
        Mode::Fails => Err(SinkUnavailable::new("scripted")),
        Mode::FailsAfter => {
            drop(write());
            Err(SinkUnavailable::new("scripted"))
        }
        Mode::Hangs => pending().await,
        Mode::HangsAfter => {
            let _written = write();
            pending().await
        }
        Mode::Panics => resume_unwind(Box::new("the sink")),
    }
}

/// Returns the output of a future that is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Waker};

    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the memory sink is ready at once"),
    }
}

impl AuditSink for ScriptedSink {
    type Record = ScriptedRecord;

    async fn begin(&self, call: CallId, begin: Begin) -> Result<ScriptedRecord, SinkUnavailable> {
        let sink = self.clone();
        act(self.mode(), move || {
            let memory = now(sink.memory.begin(call, begin)).unwrap();
            ScriptedRecord {
                memory: Some(memory),
                sink,
            }
        })
        .await
    }

    async fn late(&self, entries: Vec<Entry>) -> Result<(), SinkUnavailable> {
        let write = || now(self.memory.late(entries)).unwrap();
        act(self.mode(), write).await
    }

    fn follow_up(&self, call: CallId, event: FollowUp) {
        self.memory.follow_up(call, event);
    }
}

pub(crate) struct ScriptedRecord {
    memory: Option<MemoryRecord>,
    sink: ScriptedSink,
}

impl AuditRecord for ScriptedRecord {
    async fn sending(&mut self) -> Result<(), SinkUnavailable> {
        let (mode, record) = (self.sink.mode(), self.memory.as_mut().unwrap());
        act(mode, || now(record.sending()).unwrap()).await
    }

    fn end(mut self, end: End) -> impl Future<Output = Result<(), SinkUnavailable>> + Send {
        let mode = self.sink.mode();
        let owed = Owed {
            record: self.memory.take(),
            end: Some(end),
            is_lost: self.sink.loses_ends,
        };
        act(mode, || owed.pay())
    }

    fn end_on_drop(mut self, end: End) {
        self.memory.take().unwrap().end_on_drop(end);
    }
}

/// An end that is written when this is dropped, at the latest.
struct Owed {
    record: Option<MemoryRecord>,
    end: Option<End>,
    is_lost: bool,
}

impl Owed {
    fn pay(mut self) {
        self.write();
    }

    fn write(&mut self) {
        if let Some((record, end)) = self.record.take().zip(self.end.take()) {
            record.end_on_drop(end);
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if self.is_lost {
            mem::forget(self.record.take());
        }
        self.write();
    }
}
