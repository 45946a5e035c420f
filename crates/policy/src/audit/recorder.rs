//! [`Recorder`], which writes to the sink with a limit, and to the spool while the sink is unavailable.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Poll,
    time::Duration,
};

use clerk_actor_tokens::OperationKind;
use tokio::runtime::Handle;

use super::{
    AuditRecord, AuditSink, Begin, End, Event, FollowUp, SinkUnavailable, Spool,
    spool::SpoolRecord,
    telemetry::{self, Step, Stopwatch},
};
use crate::CallId;

/// After so many failures in a row creates are refused at once.
const FAILURES: u32 = 3;

/// The wait between two probes of an unavailable sink, and between two replays of the spool.
const PROBE: Duration = Duration::from_secs(1);

/// How many entries are replayed together.
const BATCH: usize = 256;

/// Writes to the sink with a limit, and to the spool while the sink is unavailable.
pub(super) struct Recorder<K> {
    sink: K,
    spool: Spool,
    limit: Duration,
    health: Mutex<Health>,
    replaying: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Health {
    /// Failures in a row.
    failures: u32,
    recovery: Recovery,
}

/// The task that probes the sink and replays the spool.
#[derive(Default, PartialEq)]
enum Recovery {
    #[default]
    Idle,
    Running,
    /// There is something new to replay.
    Again,
}

/// A call that has begun.
pub(super) enum Record<R> {
    Sink(R),
    Spool(SpoolRecord),
    /// A revoke while neither the sink nor the spool is available.
    Nowhere,
}

impl<K: AuditSink> Recorder<K> {
    pub(super) fn new(sink: K, spool: Spool, limit: Duration) -> Self {
        Self {
            sink,
            spool,
            limit,
            health: Mutex::default(),
            replaying: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn follow_up(&self, call: CallId, event: FollowUp) {
        self.sink.follow_up(call, event);
    }

    /// Begins a call. Only a create is held back: a call that ends access, such as a revoke, begins in any
    /// case.
    pub(super) async fn begin(
        self: &Arc<Self>,
        call: CallId,
        begin: Begin,
        kind: OperationKind,
    ) -> Result<Record<K::Record>, SinkUnavailable> {
        if self.spool.depth() > 0 {
            self.recover();
        }
        let copy = (kind != OperationKind::Create).then(|| begin.clone());
        let begun = self.write(Step::Begin, || self.sink.begin(call, begin));
        let error = match begun.await {
            Ok(record) => return Ok(Record::Sink(record)),
            Err(error) => error,
        };
        let Some(begin) = copy else {
            telemetry::refused(call);
            return Err(error);
        };
        match self.in_spool(self.spool.begin(call, begin)).await {
            Ok(record) => {
                self.spooled(call);
                Ok(Record::Spool(record))
            }
            Err(error) => {
                telemetry::unaudited(call, &error);
                Ok(Record::Nowhere)
            }
        }
    }

    /// Marks a call as about to be sent. The mark of a revoke may go to the spool.
    pub(super) async fn sending(
        self: &Arc<Self>,
        call: CallId,
        record: &mut Record<K::Record>,
        kind: OperationKind,
    ) -> Result<(), SinkUnavailable> {
        let record = match record {
            Record::Sink(record) => record,
            Record::Spool(record) => return self.in_spool(record.sending()).await,
            Record::Nowhere => return Ok(()),
        };
        let marked = self.write(Step::Sending, || record.sending()).await;
        match marked {
            Err(_) if kind != OperationKind::Create => self.spool(call, Event::Sending).await,
            marked => marked,
        }
    }

    /// Ends a call. `Ok` means that the end is durable. If it `must_be_durable`, it may go to a spool in a
    /// file.
    pub(super) async fn end(
        self: &Arc<Self>,
        call: CallId,
        record: Record<K::Record>,
        end: End,
        must_be_durable: bool,
    ) -> Result<(), SinkUnavailable> {
        let record = match record {
            Record::Sink(record) => record,
            Record::Spool(record) => {
                let result = self.in_spool(record.end(end)).await;
                self.spooled(call);
                return result;
            }
            Record::Nowhere => return Ok(()),
        };
        let may_spool = must_be_durable && self.spool.is_durable();
        let copy = may_spool.then(|| end.clone());
        let ended = if self.is_down() {
            record.end_on_drop(end);
            Err(unavailable())
        } else {
            self.write(Step::End, || record.end(end)).await
        };
        match (ended, copy) {
            (Err(_), Some(end)) => self.spool(call, Event::End(end)).await,
            (ended, _) => ended,
        }
    }

    async fn spool(self: &Arc<Self>, call: CallId, event: Event) -> Result<(), SinkUnavailable> {
        self.in_spool(self.spool.add(call, event)).await?;
        self.spooled(call);
        Ok(())
    }

    /// Writes to the spool. It is boxed, because a call whose sink is available takes 1,100 instructions less
    /// if its futures are small.
    fn in_spool<'a, T: Send + 'a>(
        &'a self,
        write: impl Future<Output = Result<T, SinkUnavailable>> + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = Result<T, SinkUnavailable>> + Send + 'a>> {
        Box::pin(self.limited(write))
    }

    /// Ends a call that was dropped.
    pub(super) fn end_on_drop(self: &Arc<Self>, record: Record<K::Record>, end: End) {
        match record {
            Record::Sink(record) => record.end_on_drop(end),
            Record::Spool(record) => {
                record.end_on_drop(end);
                self.recover();
            }
            Record::Nowhere => {}
        }
    }

    /// Writes to the sink, unless it is unavailable.
    async fn write<T, F>(
        self: &Arc<Self>,
        step: Step,
        write: impl FnOnce() -> F,
    ) -> Result<T, SinkUnavailable>
    where
        F: Future<Output = Result<T, SinkUnavailable>>,
    {
        if step != Step::Replay && self.is_down() {
            return Err(unavailable());
        }
        let stopwatch = Stopwatch::start();
        let result = self.limited(write()).await;
        telemetry::written(step, stopwatch, result.as_ref().err());
        self.note(result.is_ok());
        result
    }

    async fn limited<T>(
        &self,
        write: impl Future<Output = Result<T, SinkUnavailable>>,
    ) -> Result<T, SinkUnavailable> {
        let mut write = pin!(write);
        // A write that is ready at once needs no timer, which takes 300 instructions.
        let first = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
        if let Poll::Ready(result) = first {
            return result;
        }
        if Handle::try_current().is_err() {
            return Err(SinkUnavailable::new(
                "it must be written on a tokio runtime",
            ));
        }
        let result = tokio::time::timeout(self.limit, write).await;
        result.unwrap_or_else(|_| {
            let reason = format!("it took longer than {:?}", self.limit);
            Err(SinkUnavailable::new(reason))
        })
    }

    fn is_down(&self) -> bool {
        self.health().failures >= FAILURES
    }

    /// Notes whether a write succeeded.
    fn note(self: &Arc<Self>, is_ok: bool) {
        let failures = {
            let mut health = self.health();
            let before = health.failures;
            health.failures = if is_ok { 0 } else { before.saturating_add(1) };
            (before, health.failures)
        };
        match failures {
            (FAILURES.., 0) => telemetry::sink(true),
            (before, FAILURES) if before < FAILURES => {
                telemetry::sink(false);
                self.recover();
            }
            _ => {}
        }
    }

    fn spooled(self: &Arc<Self>, call: CallId) {
        telemetry::spooled(call, self.spool.depth());
        self.recover();
    }

    /// Probes the sink and replays the spool in the background, until the sink is available and the spool is
    /// empty.
    fn recover(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut health = self.health();
        if health.recovery == Recovery::Idle {
            health.recovery = Recovery::Running;
            drop(health);
            runtime.spawn(Running(Arc::downgrade(self)).run());
        } else {
            health.recovery = Recovery::Again;
        }
    }

    /// Replays the spool now. An empty spool probes the sink.
    pub(super) async fn replay(self: &Arc<Self>) -> Result<(), SinkUnavailable> {
        let _turn = self.replaying.lock().await;
        loop {
            let entries = self.limited(self.spool.take()).await?;
            let mut batches: Vec<_> = entries.chunks(BATCH).collect();
            if batches.is_empty() {
                batches.push(&[]);
            }
            for batch in batches {
                let late = || self.sink.late(batch.to_vec());
                self.write(Step::Replay, late).await?;
            }
            self.limited(self.spool.forget(entries.len())).await?;
            telemetry::replayed(entries.len(), self.spool.depth());
            if self.spool.depth() == 0 {
                return Ok(());
            }
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that recovers. Dropped, such as with its runtime, it leaves the place to another one.
struct Running<K: AuditSink>(Weak<Recorder<K>>);

impl<K: AuditSink> Running<K> {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(PROBE).await;
            // The task ends with the last service.
            let Some(recorder) = self.0.upgrade() else {
                return;
            };
            if recorder.replay().await.is_err() {
                continue;
            }
            let mut health = recorder.health();
            if health.recovery != Recovery::Again && recorder.spool.depth() == 0 {
                health.recovery = Recovery::Idle;
                // The place may be taken again by now.
                self.0 = Weak::new();
                return;
            }
            health.recovery = Recovery::Running;
        }
    }
}

impl<K: AuditSink> Drop for Running<K> {
    fn drop(&mut self) {
        if let Some(recorder) = self.0.upgrade() {
            recorder.health().recovery = Recovery::Idle;
        }
    }
}

fn unavailable() -> SinkUnavailable {
    SinkUnavailable::new("it is unavailable, and is probed every second")
}
