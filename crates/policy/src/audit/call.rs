//! [`AuditedCall`], the record of one call on its way from [`Audit`](super::Audit) to the barrier and back.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clerk_actor_tokens::{
    ActorToken, CallWatch, ClerkError, ClerkErrors, Error, OperationKind, Outcome,
};
use http::StatusCode;

use super::{
    AuditSink, Effect, End, FollowUp, SinkUnavailable,
    recorder::{Record, Recorder},
    telemetry,
};
use crate::{CallId, context::Barrier};

/// The code of the error of a call that could not be recorded.
const AUDIT_UNAVAILABLE: &str = "audit_unavailable";

/// How long a caller should wait for the next try: the sink is probed as often.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The record of one call. All clones of its request share it.
pub(super) struct AuditedCall<K: AuditSink> {
    recorder: Arc<Recorder<K>>,
    id: CallId,
    kind: OperationKind,
    state: Mutex<State<K::Record>>,
    /// Held while `sending` is written, so that another clone waits for that.
    turn: tokio::sync::Mutex<()>,
}

struct State<R> {
    place: Place<R>,
    /// The call has passed the barrier.
    has_passed: bool,
}

/// Where the record is.
enum Place<R> {
    Here(Record<R>),
    /// The barrier has it.
    AtBarrier,
    /// The barrier has it, and ends the call with it.
    Owed(End),
    Ended,
}

impl<K: AuditSink> AuditedCall<K> {
    pub(super) fn new(
        recorder: Arc<Recorder<K>>,
        id: CallId,
        kind: OperationKind,
        record: Record<K::Record>,
    ) -> Arc<Self> {
        let state = State {
            place: Place::Here(record),
            has_passed: false,
        };
        Arc::new(Self {
            recorder,
            id,
            kind,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Writes the end of a call, and waits until it is durable.
    ///
    /// Only the end of a create that minted must be durable: without it the call fails.
    pub(super) async fn end(&self, end: End) -> Result<(), SinkUnavailable> {
        let is_minted = self.kind == OperationKind::Create && matches!(end, End::Returned { .. });
        let Some((record, end)) = self.close(end) else {
            return Ok(());
        };
        let mut withheld = is_minted.then(|| Withheld(Some(self)));
        let result = self.recorder.end(self.id, record, end, is_minted).await;
        match &mut withheld {
            Some(withheld) if result.is_ok() => withheld.0 = None,
            Some(_) => return result,
            None => {}
        }
        Ok(())
    }

    /// Writes the end of a call that was dropped.
    fn end_on_drop(&self, end: End) {
        if let Some((record, end)) = self.close(end) {
            self.recorder.end_on_drop(record, end);
        }
    }

    /// Takes the record for its end. If the barrier has it, the barrier ends the call.
    fn close(&self, end: End) -> Option<(Record<K::Record>, End)> {
        let mut state = self.state();
        let is_unmarked = !state.has_passed && end.outcome() > Outcome::NotSent;
        if is_unmarked && !matches!(state.place, Place::Ended) {
            telemetry::without_barrier(self.id);
        }
        match mem::replace(&mut state.place, Place::Ended) {
            Place::Here(record) => Some((record, end)),
            Place::AtBarrier => {
                state.place = Place::Owed(end);
                None
            }
            Place::Owed(end) => {
                state.place = Place::Owed(end);
                None
            }
            Place::Ended => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K::Record>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let mut lent = {
            let mut state = self.state();
            if state.has_passed {
                return Ok(());
            }
            match mem::replace(&mut state.place, Place::AtBarrier) {
                Place::Here(record) => Lent {
                    call: self,
                    record: Some(record),
                },
                other => {
                    state.place = other;
                    return Err(has_ended());
                }
            }
        };
        let record = lent.record.as_mut().expect("it is given back on drop");
        let marked = self.recorder.sending(self.id, record, self.kind);
        match marked.await {
            Err(error) if self.kind != OperationKind::Create => {
                telemetry::unaudited(self.id, &error);
            }
            marked => marked.map_err(unavailable)?,
        }
        let mut state = self.state();
        if matches!(state.place, Place::Owed(_)) {
            return Err(has_ended());
        }
        state.has_passed = true;
        Ok(())
    }
}

impl<K: AuditSink> Barrier for AuditedCall<K> {
    fn sending(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move { self.pass().await })
    }
}

/// A record at the barrier. Dropped, it goes back, or ends the call if that ended meanwhile.
struct Lent<'a, K: AuditSink> {
    call: &'a AuditedCall<K>,
    record: Option<Record<K::Record>>,
}

impl<K: AuditSink> Drop for Lent<'_, K> {
    fn drop(&mut self) {
        let Some(record) = self.record.take() else {
            return;
        };
        let mut state = self.call.state();
        match mem::replace(&mut state.place, Place::Ended) {
            Place::Owed(end) => {
                drop(state);
                self.call.recorder.end_on_drop(record, end);
            }
            _ => state.place = Place::Here(record),
        }
    }
}

/// Reports on drop that the caller does not get its token, unless the call was taken out.
struct Withheld<'a, K: AuditSink>(Option<&'a AuditedCall<K>>);

impl<K: AuditSink> Drop for Withheld<'_, K> {
    fn drop(&mut self) {
        if let Some(call) = self.0 {
            telemetry::withheld(call.id);
            call.recorder.follow_up(call.id, FollowUp::Withheld);
        }
    }
}

/// Ends on drop a call that has no result: cancelled, or by a panic while it was polled.
pub(super) struct Unended<K: AuditSink> {
    /// Taken once there is a result.
    pub(super) call: Option<Arc<AuditedCall<K>>>,
    pub(super) watch: CallWatch,
    /// The inner future is being made or polled.
    pub(super) is_polled: bool,
}

impl<K: AuditSink> Drop for Unended<K> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let effect = Effect::of(&self.watch);
            call.end_on_drop(match self.is_polled {
                true => End::Panicked(effect),
                false => End::Cancelled(effect),
            });
        }
    }
}

/// Returns the error of a call that cannot be recorded, so that nothing was sent.
pub(super) fn unavailable(error: SinkUnavailable) -> Error {
    let entry = ClerkError::new(
        AUDIT_UNAVAILABLE,
        "audit unavailable",
        "The call was not sent, because its record could not be written. Try again later.",
    );
    refused(entry, error)
}

/// Returns the error of a clone that comes to the barrier too late.
fn has_ended() -> Error {
    unavailable(SinkUnavailable::new("the call has ended"))
}

/// Returns the error of a create whose end could not be written.
pub(super) fn withheld(error: SinkUnavailable, token: Option<&ActorToken>) -> Error {
    let entry = ClerkError::new(
        AUDIT_UNAVAILABLE,
        "audit unavailable",
        "The token was minted, but its record could not be written. It is revoked.",
    );
    refused(entry, error)
        .with_outcome(Outcome::Applied)
        .with_actor_token_id(token.map(|token| token.id().clone()))
}

fn refused(entry: ClerkError, error: SinkUnavailable) -> Error {
    Error::refused(StatusCode::SERVICE_UNAVAILABLE, ClerkErrors::new(entry))
        .with_retry_after(RETRY_AFTER)
        .with_source(error)
}
