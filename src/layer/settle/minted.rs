//! [`Minted`], the guard of a token whose answer is on its way up, or whose ticket nobody read yet.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::unsettled::Unsettled;
use crate::{ActorToken, ActorTokenId, guard::Guard};

/// Answers for a token until somebody claims it. Dropped before, it revokes the token.
pub(super) struct Minted {
    /// Taken when it is dropped unclaimed.
    unsettled: Option<Unsettled>,
    /// The answer, until it was read.
    answer: Option<Bytes>,
    claimed: AtomicBool,
    /// Until it was read, or lost, the create is on its way.
    permit: Option<TaskTrackerToken>,
}

impl Minted {
    pub(super) fn new(
        unsettled: Unsettled,
        answer: Bytes,
        permit: Option<TaskTrackerToken>,
    ) -> Self {
        Self {
            unsettled: Some(unsettled),
            answer: Some(answer),
            claimed: AtomicBool::new(false),
            permit,
        }
    }
}

impl Guard for Minted {
    fn is_of(&self, id: &ActorTokenId, answer: &Bytes) -> bool {
        let Some(own) = &self.answer else {
            return false;
        };
        // Mostly it is the very same buffer, unless a layer in between wrote the answer anew.
        own.as_ptr() == answer.as_ptr() || ActorToken::salvage_id(own).as_ref() == Some(id)
    }

    fn confirm(&mut self, id: &ActorTokenId) {
        // The answer holds the credential, and is needed no more.
        self.answer = None;
        self.permit = None;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.identify(id.clone());
            self.claimed = AtomicBool::new(!unsettled.settler().revokes_unread());
        }
    }

    fn claim(&self) {
        self.claimed.store(true, Ordering::Relaxed);
    }

    fn unsettled(&self) -> Option<Unsettled> {
        self.unsettled.as_ref().map(Unsettled::again)
    }
}

impl Drop for Minted {
    fn drop(&mut self) {
        if *self.claimed.get_mut() {
            if let Some(unsettled) = &mut self.unsettled {
                unsettled.note_nothing();
            }
            return;
        }
        let Some(unsettled) = self.unsettled.take() else {
            return;
        };
        match self.answer.take() {
            Some(answer) => {
                if let Some(token) = unsettled.judged_by(&answer) {
                    token.revoke();
                }
            }
            None if unsettled.has_expired() => unsettled.nothing(),
            None => unsettled.revoke(),
        }
    }
}
