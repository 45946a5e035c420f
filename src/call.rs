//! [`CallRecord`], the shared state of one call. One file, so that all that its mutex guards is read together.
//!
//! All clones of a request share one record, and every [`Attempt`] is an entry in it. The record is a
//! state machine behind one mutex. The body of an attempt is open until a transport takes it or a layer
//! withdraws it; the first of the two is final.
//!
//! ```text
//!           take                 end
//!   Open ─────────▶ Taken ─────────────▶ Ended(outcome)
//!     │ withdraw                             ▲
//!     └───────────▶ Withdrawn ───────────────┘ end
//! ```
//!
//! If a client is the inner service of another client, its record is inside the record of the outer one.
//! Every attempt of the inner record is also an attempt of the outer record. Locks are taken from the
//! inner record to the outer one.

#[cfg(test)]
mod tests;

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use crate::{
    ActorTokenId, BaseUrl, InvalidRequest, Outcome, RetryConfig, lock, response_head::ResponseHead,
};

/// The settings of one call that replace the client's defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) retry: Option<Arc<RetryConfig>>,
    pub(crate) base_url: Option<BaseUrl>,
    /// The first invalid value in the request.
    pub(crate) invalid: Option<InvalidRequest>,
}

/// The shared state of one call.
#[derive(Default)]
pub(crate) struct CallRecord {
    state: Mutex<CallState>,
    outer: Option<Arc<CallRecord>>,
}

#[derive(Default)]
struct CallState {
    // Separate, so that a call with one attempt allocates no `Vec`.
    first: Option<AttemptState>,
    later: Vec<AttemptState>,
    /// No body of the call can be taken.
    closed: bool,
    /// A token was delivered or a revoke confirmed.
    applied: bool,
    /// The token that was minted although the call failed.
    lost: Option<ActorTokenId>,
    /// The lifetime of a token that this call mints.
    lifetime: Option<Duration>,
}

#[derive(Default)]
struct AttemptState {
    phase: Phase,
    /// Settle follows the attempt in the background.
    followed: bool,
    /// A layer records the response of the transport.
    watched: bool,
    /// The status with which the transport responded.
    responded: Option<StatusCode>,
    /// The head that reached CollectBody, if its status is not 200. A wire layer may have made it up.
    failed_head: Option<ResponseHead>,
    received: Bytes,
    /// The same attempt in the outer record.
    outer: Option<Attempt>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    Taken,
    Withdrawn,
    Ended(Outcome),
}

/// A summary of a call and its attempts so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallSummary {
    /// The greatest outcome of all attempts. An attempt that was sent and has not ended is `Unknown`.
    pub(crate) outcome: Outcome,
    pub(crate) attempts: u32,
    /// Whether an attempt is being settled in the background.
    pub(crate) is_settling: bool,
    /// The token that was minted although the call failed, if its id is known.
    pub(crate) lost: Option<ActorTokenId>,
    lifetime: Option<Duration>,
}

impl CallSummary {
    /// Returns the time until which a token that was minted by now can be used.
    pub(crate) fn exposed_until(&self) -> Option<SystemTime> {
        SystemTime::now().checked_add(self.lifetime?)
    }
}

impl CallRecord {
    /// Returns a record inside `outer`, if there is one.
    pub(crate) fn inside(outer: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            outer,
        })
    }

    /// Begins the next attempt of the call. If the record is closed, the body is withdrawn.
    pub(crate) fn begin_attempt(self: &Arc<Self>) -> Attempt {
        let mut state = self.lock();
        let mut attempt = AttemptState {
            outer: self.outer.as_ref().map(Self::begin_attempt),
            ..AttemptState::default()
        };
        if state.closed {
            attempt.phase = Phase::Withdrawn;
        }
        let index = state.attempts();
        if state.first.is_none() {
            state.first = Some(attempt);
        } else {
            state.later.push(attempt);
        }
        self.attempt(index)
    }

    /// Returns the attempt with this index, which has begun.
    pub(crate) fn attempt(self: &Arc<Self>, index: u32) -> Attempt {
        let record = Arc::clone(self);
        Attempt { record, index }
    }

    /// Sets the lifetime of a token that this call mints.
    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        self.with_outer(|state| state.lifetime = Some(lifetime));
    }

    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.lock().lifetime
    }

    /// Records that the operation took effect.
    pub(crate) fn note_applied(&self) {
        self.with_outer(|state| state.applied = true);
    }

    /// Records a token that was minted and does not reach the caller.
    pub(crate) fn note_lost(&self, id: &ActorTokenId) {
        self.with_outer(|state| {
            state.applied = true;
            state.lost.get_or_insert_with(|| id.clone());
        });
    }

    /// Withdraws every body of the call, later ones included. If the outcome is in doubt, it withdraws
    /// nothing, because a spawned revoke that was sent must finish. The returned summary is final in either
    /// case.
    pub(crate) fn close(&self) -> CallSummary {
        let mut state = self.lock();
        if state.outcome().is_without_effect() {
            state.closed = true;
            for attempt in state.iter_mut() {
                attempt.withdraw();
            }
        }
        state.summary()
    }

    pub(crate) fn summary(&self) -> CallSummary {
        self.lock().summary()
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.lock().outcome()
    }

    /// Returns how many attempts have begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.lock().attempts()
    }

    fn with_outer(&self, change: impl Fn(&mut CallState)) {
        let mut record = Some(self);
        while let Some(it) = record {
            change(&mut it.lock());
            record = it.outer.as_deref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, CallState> {
        lock(&self.state)
    }
}

impl CallState {
    fn attempts(&self) -> u32 {
        let later = u32::try_from(self.later.len()).unwrap_or(u32::MAX);
        later.saturating_add(self.first.is_some().into())
    }

    fn iter(&self) -> impl Iterator<Item = &AttemptState> {
        self.first.iter().chain(&self.later)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut AttemptState> {
        self.first.iter_mut().chain(&mut self.later)
    }

    fn outcome(&self) -> Outcome {
        if self.applied {
            return Outcome::Applied;
        }
        let outcomes = self.iter().map(|attempt| match attempt.phase {
            Phase::Open | Phase::Withdrawn => Outcome::NotSent,
            Phase::Taken => Outcome::Unknown,
            Phase::Ended(outcome) => outcome,
        });
        outcomes.max().unwrap_or(Outcome::NotSent)
    }

    fn summary(&self) -> CallSummary {
        CallSummary {
            outcome: self.outcome(),
            attempts: self.attempts(),
            is_settling: self.iter().any(|attempt| attempt.followed),
            lost: self.lost.clone(),
            lifetime: self.lifetime,
        }
    }
}

impl AttemptState {
    fn take(&mut self, watched: bool) -> bool {
        if self.phase == Phase::Open {
            self.watched = watched;
            self.phase = match &self.outer {
                Some(outer) if !outer.take(watched) => Phase::Withdrawn,
                _ => Phase::Taken,
            };
        }
        self.phase == Phase::Taken
    }

    fn end(&mut self, outcome: Outcome) {
        self.phase = Phase::Ended(outcome);
        if let Some(outer) = &self.outer {
            outer.end(outcome);
        }
    }

    fn outcome_of(&mut self, status: StatusCode) -> Outcome {
        self.withdraw();
        match (self.phase, self.responded) {
            (Phase::Open | Phase::Withdrawn | Phase::Ended(Outcome::NotSent), _) => {
                Outcome::NotSent
            }
            (_, Some(status)) => Outcome::of_status(status),
            (_, None) if self.watched => Outcome::Unknown,
            (_, None) => Outcome::of_status(status),
        }
    }

    fn withdraw(&mut self) -> bool {
        if self.phase == Phase::Open {
            self.phase = Phase::Withdrawn;
            if let Some(outer) = &self.outer {
                outer.withdraw();
            }
        }
        self.phase == Phase::Withdrawn
    }
}

/// One attempt of a call, shared by its request body and the layers that classify and settle it.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) record: Arc<CallRecord>,
    pub(crate) index: u32,
}

impl Attempt {
    /// Takes the body, which counts as sending it. Returns false if it was withdrawn; then nothing of it
    /// may be sent. For a `watched` body, a layer [records the response](Self::note_response) of the
    /// transport.
    pub(crate) fn take(&self, watched: bool) -> bool {
        self.with(|state| state.take(watched))
    }

    /// Withdraws the body, which can then never be sent. Returns false if it was taken or the attempt has
    /// ended.
    pub(crate) fn withdraw(&self) -> bool {
        self.with(AttemptState::withdraw)
    }

    /// Returns whether the body was withdrawn before it was sent.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.with(|state| state.phase == Phase::Withdrawn)
    }

    /// Ends the attempt. A body that was not taken can no longer be taken.
    pub(crate) fn end(&self, outcome: Outcome) {
        self.with(|state| state.end(outcome));
    }

    /// Returns the outcome of an attempt whose response has this status and cannot be used. Withdraws a
    /// body that was not taken.
    ///
    /// A wire layer may have made up the response. So the status from the transport decides, and without
    /// one the outcome of a taken body is unknown. If no layer records it, the response is believed.
    pub(crate) fn outcome_of(&self, status: StatusCode) -> Outcome {
        self.with(|state| state.outcome_of(status))
    }

    /// Ends the attempt with the outcome [of its response](Self::outcome_of), and returns that.
    pub(crate) fn end_with(&self, status: StatusCode) -> Outcome {
        self.with(|state| {
            let outcome = state.outcome_of(status);
            state.end(outcome);
            outcome
        })
    }

    /// Records the status from the transport.
    pub(crate) fn note_response(&self, status: StatusCode) {
        self.with(|state| state.responded = Some(status));
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.with(|state| matches!(state.phase, Phase::Ended(_)))
    }

    /// Sets whether Settle follows the attempt in the background.
    pub(crate) fn set_followed(&self, followed: bool) {
        self.with(|state| {
            state.followed = followed;
            if let Some(outer) = &state.outer {
                outer.set_followed(followed);
            }
        });
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.with(|state| state.followed)
    }

    /// Records the head of a response other than 200, for a failure in its body.
    pub(crate) fn note_failed_head(&self, head: ResponseHead) {
        self.with(|state| state.failed_head = Some(head));
    }

    pub(crate) fn failed_head(&self) -> Option<ResponseHead> {
        self.with(|state| state.failed_head.clone())
    }

    /// Adds a frame of the response body, up to `limit` bytes in all. Returns whether it fits.
    pub(crate) fn receive(&self, mut frame: Bytes, limit: usize) -> bool {
        self.with(|state| {
            let room = limit - state.received.len();
            let fits = frame.len() <= room;
            frame.truncate(room);
            if !state.received.is_empty() {
                // Copies the first frame, and has room for more later.
                let mut joined = BytesMut::from(mem::take(&mut state.received));
                joined.extend_from_slice(&frame);
                frame = joined.freeze();
            }
            state.received = frame;
            fits
        })
    }

    /// Returns the bytes of the response body that were received. They may hold a credential.
    pub(crate) fn received(&self) -> Bytes {
        self.with(|state| state.received.clone())
    }

    /// Takes the response body once it has ended.
    pub(crate) fn take_received(&self) -> Bytes {
        self.with(|state| mem::take(&mut state.received))
    }

    /// Returns the number of the attempt within its call, counted from one.
    pub(crate) fn number(&self) -> u32 {
        self.index.saturating_add(1)
    }

    fn with<T>(&self, change: impl FnOnce(&mut AttemptState) -> T) -> T {
        let state = &mut *self.record.lock();
        let attempt = match self.index {
            0 => state.first.as_mut(),
            index => state.later.get_mut(index as usize - 1),
        };
        change(attempt.expect("an attempt is never removed from its record"))
    }
}

crate::text::opaque_debug!(CallRecord, |it|
    attempts: it.summary().attempts, outcome: it.summary().outcome);

/// A view of the attempts and the outcome of a call, from
/// [`ActorTokenRequest::watch`](crate::ActorTokenRequest::watch).
///
/// An observer layer drops the inner future before it reads the watch. So a cancelled call has an outcome
/// too.
///
/// ```
/// use clerk_actor_tokens::{ActorTokenRequest, Outcome};
///
/// let mut request = ActorTokenRequest::revoke("act_1".parse()?);
/// let watch = request.watch();
/// drop(request);
/// assert_eq!((watch.outcome(), watch.attempts()), (Outcome::NotSent, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CallWatch {
    pub(crate) record: Arc<CallRecord>,
}

impl CallWatch {
    /// Returns the greatest outcome of all attempts so far. An attempt that was sent and has not ended
    /// is [`Outcome::Unknown`]; a call that succeeded is [`Outcome::Applied`].
    pub fn outcome(&self) -> Outcome {
        self.record.outcome()
    }

    /// Returns how many attempts have begun.
    pub fn attempts(&self) -> u32 {
        self.record.attempts()
    }

    /// Returns whether a lost attempt is being settled in the background.
    pub fn is_settling(&self) -> bool {
        self.record.summary().is_settling
    }

    /// Returns the time until which a token that this call minted by now can be used; `None` for a call
    /// without effect and for a revoke.
    pub fn exposed_until(&self) -> Option<SystemTime> {
        let summary = self.record.summary();
        let may_exist = summary.outcome >= Outcome::Unknown;
        may_exist.then(|| summary.exposed_until()).flatten()
    }

    /// Ends the call, and returns its outcome, which is final. If nothing was sent, nothing of the call can
    /// be sent any more.
    pub fn close(&self) -> Outcome {
        self.record.close().outcome
    }

    /// Returns the token that was minted although the call failed, if its id is known.
    pub fn actor_token_id(&self) -> Option<ActorTokenId> {
        self.record.summary().lost
    }
}
