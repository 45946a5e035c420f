//! [`MemorySink`], an audit in memory.

use std::{
    collections::{HashSet, VecDeque},
    future::{Future, ready},
    mem::{Discriminant, discriminant},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    AuditRecord, AuditSink, Begin, End, Entry, Event, FollowUp, SinkUnavailable, telemetry,
};
use crate::CallId;

/// An audit in memory, for tests and for programs whose audit may end with them. Clones share all entries.
///
/// ```
/// use clerk_actor_tokens::{ClientBuilder, sandbox::Sandbox};
/// use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer, Event, MemorySink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
/// let (sandbox, sink) = (Sandbox::new(), MemorySink::new());
/// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
///     .observe_layer(AuditLayer::new(sink.clone()))
///     .call_layer(AuditBarrierLayer::new())
///     .build()?;
/// client.revoke("act_1").await.unwrap_err();
/// assert!(matches!(sink.entries()[2].event, Event::End(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MemorySink {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    entries: VecDeque<Entry>,
    /// How many entries fit in.
    capacity: usize,
    /// How many of them calls in flight need.
    reserved: usize,
    /// The late entries, so that each is kept once.
    late: HashSet<(CallId, Discriminant<Event>)>,
    dropped: u64,
}

/// The entries that a call needs after its begin: sending and end.
const RESERVED: usize = 2;

impl MemorySink {
    /// Creates a sink without a limit.
    pub fn new() -> Self {
        Self::with_capacity(usize::MAX)
    }

    /// Creates a sink for this many entries. When it is full it is unavailable, and follow-ups are dropped.
    pub fn with_capacity(entries: usize) -> Self {
        let state = State {
            entries: VecDeque::new(),
            capacity: entries,
            reserved: 0,
            late: HashSet::new(),
            dropped: 0,
        };
        let state = Arc::new(Mutex::new(state));
        Self { state }
    }

    /// Returns all entries, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.iter().cloned().collect()
    }

    /// Returns how many follow-ups were dropped.
    pub fn dropped_follow_ups(&self) -> u64 {
        self.state().dropped
    }

    pub(super) fn len(&self) -> usize {
        self.state().entries.len()
    }

    pub(super) fn push(&self, entry: Entry) -> Result<(), SinkUnavailable> {
        let mut state = self.state();
        state.has_room(1)?;
        state.entries.push_back(entry);
        Ok(())
    }

    /// Removes the oldest entries.
    pub(super) fn forget(&self, entries: usize) {
        let mut state = self.state();
        let count = entries.min(state.entries.len());
        state.entries.drain(..count);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemorySink {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Returns whether this many more entries fit in.
    fn has_room(&self, entries: usize) -> Result<(), SinkUnavailable> {
        let used = self.entries.len().saturating_add(self.reserved);
        match used.saturating_add(entries) <= self.capacity {
            true => Ok(()),
            false => Err(SinkUnavailable::new("the memory for entries is full")),
        }
    }
}

impl AuditSink for MemorySink {
    type Record = MemoryRecord;

    fn begin(
        &self,
        call: CallId,
        begin: Begin,
    ) -> impl Future<Output = Result<MemoryRecord, SinkUnavailable>> + Send {
        let sink = self.clone();
        async move {
            {
                let mut state = sink.state();
                state.has_room(1 + RESERVED)?;
                state.reserved += RESERVED;
                let entry = Entry::new(call, Event::Begin(begin));
                state.entries.push_back(entry);
            }
            Ok(MemoryRecord {
                sink,
                call,
                reserved: RESERVED,
            })
        }
    }

    fn late(
        &self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<(), SinkUnavailable>> + Send {
        let sink = self.clone();
        async move {
            let mut state = sink.state();
            state.has_room(entries.len())?;
            for entry in entries {
                if state.late.insert((entry.call, discriminant(&entry.event))) {
                    state.entries.push_back(entry);
                }
            }
            Ok(())
        }
    }

    fn follow_up(&self, call: CallId, event: FollowUp) {
        if self.push(Entry::new(call, Event::FollowUp(event))).is_err() {
            self.state().dropped += 1;
            telemetry::follow_up_dropped(call);
        }
    }
}

/// The [`AuditRecord`] of a [`MemorySink`].
#[derive(Debug)]
pub struct MemoryRecord {
    sink: MemorySink,
    call: CallId,
    /// The places that it still holds. The last one is that of the end.
    reserved: usize,
}

impl MemoryRecord {
    fn push(&mut self, event: Event) {
        let mut state = self.sink.state();
        if self.reserved > 0 {
            state.reserved -= 1;
            self.reserved -= 1;
        }
        state.entries.push_back(Entry::new(self.call, event));
    }
}

impl AuditRecord for MemoryRecord {
    fn sending(&mut self) -> impl Future<Output = Result<(), SinkUnavailable>> + Send {
        if self.reserved == RESERVED {
            self.push(Event::Sending);
        }
        ready(Ok(()))
    }

    fn end(self, end: End) -> impl Future<Output = Result<(), SinkUnavailable>> + Send {
        self.end_on_drop(end);
        ready(Ok(()))
    }

    fn end_on_drop(mut self, end: End) {
        self.finish(end);
    }
}

impl MemoryRecord {
    fn finish(&mut self, end: End) {
        self.push(Event::End(end));
        self.sink.state().reserved -= self.reserved;
        self.reserved = 0;
    }
}

impl Drop for MemoryRecord {
    fn drop(&mut self) {
        // The last place is given up with the end.
        if self.reserved > 0 {
            self.finish(End::Abandoned);
        }
    }
}
