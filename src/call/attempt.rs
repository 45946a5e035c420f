//! [`Attempt`], which decides one question for good: was the request body taken by the transport, or
//! can it never be?

use std::sync::{Arc, PoisonError};

use http::StatusCode;

use super::{
    Hints, Prefix, Progress,
    state::{ENDED, State, TAKEN, WITHDRAWN},
};
use crate::{
    OperationKind, Outcome,
    sync::{
        MutexGuard,
        atomic::{Ordering, fence},
    },
};

/// One attempt of a call, shared by the layers that classify and settle it and the body that is sent.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    progress: Arc<Progress>,
    /// Of the first attempt, by far the commonest, the state is kept with the call's progress.
    later: Option<Arc<Later>>,
}

#[derive(Debug)]
pub(super) struct Later {
    number: u32,
    /// In whose stead it is sent, if in any.
    before: Option<Before>,
    pub(super) state: State,
}

/// An attempt in whose stead another is sent; the first, if not a later one.
#[derive(Clone, Debug)]
struct Before(Option<Arc<Later>>);

impl Attempt {
    /// What is about to become one of the attempts of a call.
    pub(crate) fn none_of(progress: Arc<Progress>) -> Self {
        Self {
            progress,
            later: None,
        }
    }

    /// Becomes the next attempt of its call.
    pub(crate) fn become_next(&mut self) {
        self.become_numbered(None);
    }

    /// Becomes an attempt of its own, for what the one that it was is sent for once more: in vain, if that
    /// was given up, or the one in whose stead that was sent.
    pub(crate) fn become_repeated(&mut self) {
        let before = Before(self.later.clone());
        self.state().repeated.store(true, Ordering::Release);
        self.become_numbered(Some(before.clone()));
        // Either this sees that it was given up, or whoever gives it up sees that it is repeated.
        fence(Ordering::SeqCst);
        let mut next = Some(before);
        while let Some(Before(later)) = next {
            let state = later
                .as_deref()
                .map_or(&self.progress.first, |it| &it.state);
            if state.given_up.load(Ordering::Acquire) {
                self.withdraw();
                return;
            }
            next = later.and_then(|it| it.before.clone());
        }
    }

    fn become_numbered(&mut self, before: Option<Before>) {
        let number = self.progress.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        self.later = (number > 1).then(|| {
            let later = Arc::new(Later {
                number,
                before,
                state: State::default(),
            });
            self.progress.later().push(Arc::clone(&later));
            later
        });
        if self.progress.is_over() {
            self.withdraw();
        }
    }

    fn state(&self) -> &State {
        match &self.later {
            Some(later) => &later.state,
            None => &self.progress.first,
        }
    }

    /// Counted from one.
    pub(crate) fn number(&self) -> u32 {
        self.later.as_ref().map_or(1, |later| later.number)
    }

    /// The transport takes the body. False when the body was withdrawn before: then nothing of it
    /// may be handed out.
    pub(crate) fn take(&self) -> bool {
        self.state().decide(TAKEN).err() != Some(WITHDRAWN)
    }

    /// The same for what may be taken once only: taken again, a layer below sends it once more without
    /// telling, and nobody knows any longer which of the exchanges an answer is of.
    pub(crate) fn take_once(&self) -> bool {
        match self.state().decide(TAKEN) {
            Ok(_) => true,
            Err(TAKEN) => {
                self.state().repeated.store(true, Ordering::Release);
                self.note_unseen();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the body back, so that it can never be sent from now on. True when that came too late
    /// and the transport has it.
    pub(crate) fn withdraw(&self) -> bool {
        self.state()
            .decide(WITHDRAWN)
            .is_err_and(|claim| claim != WITHDRAWN)
    }

    /// Takes it back for the layer that began it, for good: what a layer below sends once more in its stead is
    /// not sent, either. True also when that came too late for any of those.
    pub(crate) fn give_up(&self) -> bool {
        self.state().given_up.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        self.withdraw() || self.is_repeated() && self.is_repeat_in_doubt()
    }

    /// Whether what a layer below sent in its stead may have had an effect, or may still be sent.
    fn is_repeat_in_doubt(&self) -> bool {
        let own = self.number();
        let is_open = |later: &Arc<Later>| later.number > own && !later.state.is_over();
        self.progress.later().iter().any(is_open)
            || self.progress.settled_outcome() >= Outcome::Unknown
    }

    /// Takes it back for the layer that settles it. True also when a layer below sent it once more in its
    /// stead, which is not sent any more from now on.
    pub(crate) fn withdraw_unseen(&self) -> bool {
        let taken = self.withdraw();
        fence(Ordering::SeqCst);
        taken || self.has_unseen()
    }

    /// It is sent in the stead of `before`, unless that is over.
    pub(crate) fn send_unseen(&self, before: &Self) {
        before.note_unseen();
        // Either this sees that it is over, or whoever ends it sees that there is this.
        fence(Ordering::SeqCst);
        if before.state().is_over() {
            self.withdraw();
        }
    }

    /// Returns whether it was withdrawn before it was sent.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.state().claim() == WITHDRAWN
    }

    /// What became of it is known.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().claim() == ENDED
    }

    /// The head of the answer is there.
    pub(crate) fn note_status(&self, status: StatusCode) {
        self.state()
            .status
            .store(status.as_u16(), Ordering::Release);
    }

    /// The status of the answer, if its head came.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.state().status.load(Ordering::Acquire)).ok()
    }

    /// The body of a refusal is still to come.
    pub(crate) fn note_hints(&self, hints: Hints) {
        let _ = self.state().hints.set(Box::new(hints));
    }

    pub(crate) fn hints(&self) -> Option<&Hints> {
        self.state().hints.get().map(|hints| &**hints)
    }

    /// What was read of the answer's body, for as long as that has not ended. It may hold a credential.
    pub(crate) fn read(&self) -> MutexGuard<'_, Prefix> {
        // What was read stays what it is, whoever panicked since.
        self.state()
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Should it be lost, what it mints is settled. False when that is so already: then it was sent
    /// before, by a retry or a hedge below the layer that began it.
    pub(crate) fn note_held(&self) -> bool {
        !self.state().held.swap(true, Ordering::AcqRel)
    }

    /// It is sent, and its answer read, by a layer with `above` others above it that read it, too. False when
    /// one at that place did so already, in the same way.
    pub(crate) fn note_sent(&self, above: u8) -> bool {
        let readers = &self.state().readers;
        let with_this = above.saturating_add(1);
        readers
            .compare_exchange(above, with_this, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// So many layers read its answer, one above the other, as they do that of the attempt in whose stead it
    /// is sent.
    pub(crate) fn note_readers(&self, readers: u8) {
        self.state().readers.store(readers, Ordering::Release);
    }

    /// Whether more layers read its answer than these.
    pub(crate) fn is_read_below(&self, readers: u8) -> bool {
        self.state().readers.load(Ordering::Acquire) > readers
    }

    /// A layer below sent it once more: what is known of one exchange says nothing of another.
    pub(crate) fn is_repeated(&self) -> bool {
        self.state().repeated.load(Ordering::Acquire)
    }

    /// It was sent once more below the layer that settles it, which sees one of the answers only.
    fn note_unseen(&self) {
        self.state().unseen.store(true, Ordering::Release);
    }

    pub(crate) fn has_unseen(&self) -> bool {
        self.state().unseen.load(Ordering::Acquire)
    }

    /// Whether more than one exchange of it may have had an effect, and all but one went unseen.
    pub(crate) fn is_sent_unseen(&self) -> bool {
        let repeats = || self.progress.attempts().saturating_sub(self.number());
        self.has_unseen() && (self.withdraw() || repeats() > 1)
    }

    /// Whether it was sent, nobody knows what became of it, and somebody settles it who will.
    pub(crate) fn is_followed(&self) -> bool {
        self.state().is_followed()
    }

    pub(crate) fn kind(&self) -> OperationKind {
        self.progress.content().kind
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The API refused the key, and another one may be had by now.
    pub(crate) fn note_stale_key(&self) {
        self.state().stale_key.store(true, Ordering::Release);
    }

    pub(crate) fn has_stale_key(&self) -> bool {
        self.state().stale_key.load(Ordering::Acquire)
    }

    /// The attempt has ended with `outcome`. A body that was not taken by now never will be.
    pub(crate) fn end(&self, outcome: Outcome) {
        // Before it is no longer in doubt, so that nobody finds the call neither in doubt nor settled.
        self.progress.note(outcome);
        if self.withdraw() {
            self.state().end();
        }
    }
}

#[cfg(test)]
mod tests;
