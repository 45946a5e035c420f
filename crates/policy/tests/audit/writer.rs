//! An `AuditWriter` over a log of the test: batches, what it owes, tasks on its thread.

use std::sync::{Arc, Mutex, mpsc};

use clerk_actor_tokens::{BoxError, Outcome};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{
        AuditLog, AuditRecord, AuditSink, AuditWriter, Begin, Effect, End, Entry, Event, FollowUp,
        SinkUnavailable,
    },
};

use crate::{create, word};

/// A log that fails while its disk is full.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    batches: Vec<Vec<Entry>>,
    is_full: bool,
}

impl AuditLog for Log {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BoxError> {
        let mut state = self.0.lock().unwrap();
        if state.is_full {
            return Err("the disk is full".into());
        }
        state.batches.push(entries.to_vec());
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, AuditWriter<Self>) {
        let log = Self::default();
        (log.clone(), AuditWriter::start(log).unwrap())
    }

    fn set_full(&self, is_full: bool) {
        self.0.lock().unwrap().is_full = is_full;
    }

    /// Returns the entries of each batch in words.
    fn words(&self) -> Vec<Vec<String>> {
        let state = self.0.lock().unwrap();
        let words = |batch: &Vec<Entry>| batch.iter().map(word).collect();
        state.batches.iter().map(words).collect()
    }
}

type Begun = <AuditWriter<Log> as AuditSink>::Record;

async fn begin(writer: &AuditWriter<Log>) -> Result<Begun, SinkUnavailable> {
    writer.begin(CallId::create(), Begin::of(&create())).await
}

#[tokio::test]
async fn entries_that_wait_for_the_thread_are_one_batch() {
    let (log, writer) = Log::start();
    let records = [begin(&writer).await.unwrap(), begin(&writer).await.unwrap()];
    let (release, is_released) = mpsc::channel();
    let task = writer.run(move |_| Ok(is_released.recv()?));
    let ends = async {
        for record in records {
            record.end_on_drop(End::Abandoned);
        }
        writer.follow_up(CallId::create(), FollowUp::Accepted);
        release.send(()).unwrap();
    };
    // The first poll queues the task, before the ends are.
    let (ran, ()) = futures_util::join!(task, ends);
    ran.unwrap();
    writer.flush().await.unwrap();
    let words: Vec<_> = log.words()[2..].concat();
    assert_eq!(words, ["abandoned", "abandoned", "Accepted"]);
    assert!(log.words().contains(&words), "{:?}", log.words());
}

#[tokio::test]
async fn ends_and_follow_ups_of_a_failed_batch_are_written_once_later() {
    let (log, writer) = Log::start();
    let records = [begin(&writer).await.unwrap(), begin(&writer).await.unwrap()];
    log.set_full(true);
    let [first, mut second] = records;
    let error = first.end(End::Abandoned).await.unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(reason, "the disk is full");
    writer.follow_up(CallId::create(), FollowUp::Accepted);
    assert!(begin(&writer).await.is_err());
    assert!(second.sending().await.is_err());
    log.set_full(false);
    second.end(End::Abandoned).await.unwrap();
    assert_eq!(
        log.words()[2..].concat(),
        ["abandoned", "Accepted", "abandoned"]
    );
}

#[tokio::test]
async fn end_without_a_future_and_late_entries_are_written_as_they_are() {
    let (log, writer) = Log::start();
    let end = End::Cancelled(Effect::new(Outcome::Unknown));
    begin(&writer).await.unwrap().end_on_drop(end);
    let mut late = Entry::new(CallId::create(), Event::Sending);
    late.late = true;
    writer.late(vec![late]).await.unwrap();
    let words = log.words().concat();
    assert_eq!(words, ["begin", "cancelled unknown", "late sending"]);
}

#[tokio::test]
async fn entries_that_no_caller_waits_for_before_the_thread_writes_them_are_left_out() {
    let (log, writer) = Log::start();
    let (release, is_released) = mpsc::channel();
    let task = writer.run(move |_| Ok(is_released.recv()?));
    let given_up = async {
        let entry = Entry::new(CallId::create(), Event::Sending);
        for _ in 0..2 {
            let begin = std::pin::pin!(begin(&writer));
            let write = std::pin::pin!(writer.write(vec![entry.clone()]));
            assert!(futures_util::poll!(begin).is_pending());
            assert!(futures_util::poll!(write).is_pending());
        }
        release.send(()).unwrap();
    };
    // The first poll queues the task, before the entries are.
    let (ran, ()) = futures_util::join!(task, given_up);
    ran.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(log.words().concat(), [""; 0]);
}

#[tokio::test]
async fn task_runs_after_what_was_queued_before_and_returns_its_error() {
    let (_, writer) = Log::start();
    begin(&writer).await.unwrap().end_on_drop(End::Abandoned);
    let count = |log: &mut Log| Ok(log.words().concat().len());
    assert_eq!(writer.run(count).await.unwrap(), 2);
    let error = writer.run::<()>(|_| Err("no such table".into())).await;
    let error = error.unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(reason, "no such table");
}

#[tokio::test]
async fn thread_that_panicked_makes_the_sink_unavailable() {
    let (_, writer) = Log::start();
    let record = begin(&writer).await.unwrap();
    let panicked = writer.run::<()>(|_| panic!("on purpose")).await;
    assert!(panicked.is_err());
    assert!(record.end(End::Abandoned).await.is_err());
    assert!(begin(&writer).await.is_err());
}
