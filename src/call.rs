//! What the layers of one call share: its options, its deadline, and what became of its attempts.
//!
//! A [`Call`] travels with the request, from the call level into the [`Body`](crate::Body) of every
//! attempt. An [`Attempt`] decides one question for good: was the request body taken by the
//! transport, or can it never be?

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;

use crate::{BaseUrl, Outcome, RetryConfig};

/// The per-call context that the layers hand down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    options: Option<Arc<CallOptions>>,
    progress: Arc<Progress>,
    deadline: Option<Instant>,
}

/// What a caller may choose for one call in place of the client's defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) retry: Option<Arc<RetryConfig>>,
    pub(crate) base_url: Option<BaseUrl>,
}

impl Call {
    /// The same options for a call of its own, of which nothing has happened yet.
    pub(crate) fn renewed(&self) -> Self {
        Self {
            options: self.options.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.options.as_deref()
    }

    pub(crate) fn options_mut(&mut self) -> &mut CallOptions {
        Arc::make_mut(self.options.get_or_insert_default())
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// When the call's own time is over, for layers that would sleep past it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }
}

/// What became of the attempts of one call so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    attempts: AtomicU32,
    in_doubt: AtomicU32,
    worst: AtomicU8,
}

impl Progress {
    /// How many attempts were begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Acquire)
    }

    /// The greatest outcome of all attempts, one that was sent and has not ended being `Unknown`.
    pub(crate) fn outcome(&self) -> Outcome {
        let worst = self.settled_outcome();
        match self.in_doubt.load(Ordering::Acquire) {
            0 => worst,
            _ => worst.max(Outcome::Unknown),
        }
    }

    /// Notes what is known to have become of the call.
    pub(crate) fn note(&self, outcome: Outcome) {
        self.worst.fetch_max(outcome.code(), Ordering::AcqRel);
    }

    /// The greatest outcome of the attempts that have ended.
    pub(crate) fn settled_outcome(&self) -> Outcome {
        Outcome::from_code(self.worst.load(Ordering::Acquire))
    }
}

/// One attempt of a call, shared by the layer that classifies it and the body that is sent.
#[derive(Debug)]
pub(crate) struct Attempt {
    progress: Arc<Progress>,
    number: u32,
    claim: AtomicU8,
    stale_key: AtomicBool,
    /// The status of the answer once its head is there, else zero.
    status: AtomicU16,
}

const OPEN: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;
const ENDED: u8 = 3;

impl Attempt {
    /// Begins the next attempt of a call.
    pub(crate) fn begin(progress: &Arc<Progress>) -> Arc<Self> {
        let number = progress.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        Arc::new(Self {
            progress: Arc::clone(progress),
            number,
            claim: AtomicU8::new(OPEN),
            stale_key: AtomicBool::new(false),
            status: AtomicU16::new(0),
        })
    }

    /// Counted from one.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The transport takes the body. False when the body was withdrawn before: then nothing of it
    /// may be handed out.
    pub(crate) fn take(&self) -> bool {
        match self
            .claim
            .compare_exchange(OPEN, TAKEN, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                self.progress.in_doubt.fetch_add(1, Ordering::AcqRel);
                true
            }
            Err(claim) => claim != WITHDRAWN,
        }
    }

    /// Takes the body back, so that it can never be sent from now on. True when that came too late
    /// and the transport has it.
    pub(crate) fn withdraw(&self) -> bool {
        self.claim
            .compare_exchange(OPEN, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire)
            .is_err_and(|claim| claim != WITHDRAWN)
    }

    /// The head of the answer is there.
    pub(crate) fn note_status(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Release);
    }

    /// The status of the answer, if its head came.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status.load(Ordering::Acquire)).ok()
    }

    /// The API refused the key, and another one may be had by now.
    pub(crate) fn note_stale_key(&self) {
        self.stale_key.store(true, Ordering::Release);
    }

    pub(crate) fn has_stale_key(&self) -> bool {
        self.stale_key.load(Ordering::Acquire)
    }

    /// The attempt has ended with `outcome`. A body that was not taken by now never will be.
    pub(crate) fn end(&self, outcome: Outcome) {
        self.progress.note(outcome);
        if self.withdraw() && self.claim.swap(ENDED, Ordering::AcqRel) == TAKEN {
            self.progress.in_doubt.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawn_body_can_never_be_taken() {
        let progress = Arc::default();
        let attempt = Attempt::begin(&progress);
        assert!(!attempt.withdraw());
        assert!(!attempt.take());
        assert_eq!(progress.outcome(), Outcome::NotSent);
    }

    #[test]
    fn a_taken_body_leaves_the_call_in_doubt_until_its_attempt_ends() {
        let progress = Arc::default();
        let attempt = Attempt::begin(&progress);
        assert!(attempt.take());
        assert!(attempt.withdraw());
        assert_eq!(progress.outcome(), Outcome::Unknown);
        attempt.end(Outcome::Rejected);
        assert_eq!(progress.outcome(), Outcome::Rejected);
    }

    #[test]
    fn what_was_not_taken_when_an_attempt_ended_is_never_taken() {
        for withdrawn_before in [false, true] {
            let attempt = Attempt::begin(&Arc::default());
            if withdrawn_before {
                attempt.withdraw();
            }
            attempt.end(Outcome::NotSent);
            assert!(!attempt.take(), "withdrawn before: {withdrawn_before}");
        }
    }

    #[test]
    fn a_later_attempt_does_not_hide_what_an_earlier_one_may_have_done() {
        let progress = Arc::default();
        let first = Attempt::begin(&progress);
        first.take();
        first.end(Outcome::Unknown);
        let second = Attempt::begin(&progress);
        second.end(Outcome::NotSent);
        assert_eq!((second.number(), progress.attempts()), (2, 2));
        assert_eq!(progress.outcome(), Outcome::Unknown);
    }
}
