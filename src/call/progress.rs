//! [`Progress`], what the attempts of one call say, and what became of them so far.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, Weak},
    time::Duration,
};

use super::{
    Content,
    account::Account,
    attempt::Later,
    guards::Guards,
    state::{State, WITHDRAWN},
};
use crate::{
    ActorTokenId, Outcome,
    guard::Guard,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
    },
};

/// What the attempts of one call say, and what became of them so far.
#[derive(Default)]
pub(crate) struct Progress {
    /// What the attempts say, once the call is encoded.
    content: OnceLock<Content>,
    /// The state of the first attempt.
    pub(super) first: State,
    /// The later ones.
    later: Mutex<Vec<Arc<Later>>>,
    pub(super) attempts: AtomicU32,
    worst: AtomicU8,
    /// How long a token lives that this call mints, in seconds; zero if it mints none.
    life: AtomicU64,
    /// The token that was minted although the call failed.
    lost: OnceLock<ActorTokenId>,
    /// Answer for the tokens in the answers that are on their way up.
    guards: Mutex<Guards>,
    /// Somebody waits for the call who tells what becomes of it.
    watched: AtomicBool,
    /// What somebody waits for, where this is of a clone of it.
    whole: Weak<Progress>,
    /// Those of its clones, which layers send in its stead.
    clones: Mutex<Vec<Arc<Progress>>>,
    /// Nothing is to be sent any more.
    over: AtomicBool,
}

impl Progress {
    /// Of a clone of the call that `original` is of.
    pub(super) fn of_clone(original: &Arc<Self>) -> Arc<Self> {
        let whole = if original.is_watched() {
            Arc::clone(original)
        } else if let Some(whole) = original.whole.upgrade() {
            whole
        } else {
            // Nobody waits for that, and it may be cloned for ever.
            return Arc::default();
        };
        let clone = Arc::new(Self {
            whole: Arc::downgrade(&whole),
            ..Self::default()
        });
        whole.keep(Arc::clone(&clone));
        // After that: whoever ends it closes all clones that there are by then.
        if whole.is_over() {
            clone.close();
        }
        clone
    }

    fn keep(&self, clone: Arc<Self>) {
        let mut clones = self.clones();
        if clones.len() == clones.capacity() {
            // Of those that were dropped unsent there is nothing to tell.
            clones.retain(|it| !it.is_idle());
        }
        clones.push(clone);
    }

    /// Whether nothing came of it, and nothing will.
    fn is_idle(self: &Arc<Self>) -> bool {
        let is_let_go = Arc::strong_count(self) == 1;
        // After whatever the last one did who had it.
        fence(Ordering::Acquire);
        is_let_go
            && self.attempts() == 0
            && self.settled_outcome() == Outcome::NotSent
            && self.clones().iter().all(Self::is_idle)
    }

    pub(super) fn watch(&self) {
        self.watched.store(true, Ordering::Release);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// The call has failed. What became of it stays so: unless it is in doubt, what was not sent yet is
    /// taken back.
    pub(crate) fn end(&self) -> Account {
        let account = self.account();
        if account.outcome >= Outcome::Unknown {
            return account;
        }
        self.close();
        self.account()
    }

    /// Takes back what was not sent yet, so that it can never be.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        let _ = self.first.decide(WITHDRAWN);
        for later in &*self.later() {
            let _ = later.state.decide(WITHDRAWN);
        }
        self.clones().iter().for_each(|clone| clone.close());
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// A transport takes what no layer made an attempt of. False when nothing is to be sent any more.
    pub(crate) fn take_unbegun(&self) -> bool {
        self.note(Outcome::Unknown);
        // Either this sees that it is over, or whoever ends it sees that it may have happened.
        fence(Ordering::SeqCst);
        !self.is_over()
    }

    fn clones(&self) -> MutexGuard<'_, Vec<Arc<Self>>> {
        self.clones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_content(&self, content: Content) {
        // Whoever encodes the call owns it, so this happens once.
        let _ = self.content.set(content);
    }

    /// What the attempts say.
    pub(crate) fn content(&self) -> &Content {
        self.content.get().expect("attempts are of encoded calls")
    }

    /// How many attempts were begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Acquire)
    }

    /// The greatest outcome of all attempts, one that was sent and has not ended being `Unknown`.
    pub(crate) fn outcome(&self) -> Outcome {
        // Before what was noted is looked at: whoever ends an attempt notes its outcome first.
        let in_doubt = self.has_any(State::is_in_doubt);
        let worst = self.settled_outcome();
        if in_doubt {
            worst.max(Outcome::Unknown)
        } else {
            worst
        }
    }

    /// What became of the call so far, and of its clones.
    pub(crate) fn account(&self) -> Account {
        let own = self.own_account();
        let clones = self.clones();
        clones.iter().map(|it| it.account()).fold(own, Account::and)
    }

    fn own_account(&self) -> Account {
        Account {
            outcome: self.outcome(),
            attempts: self.attempts(),
            is_followed: self.has_any(State::is_followed),
            lost: self.lost.get().cloned(),
            life: self.life(),
        }
    }

    fn has_any(&self, is_so: fn(&State) -> bool) -> bool {
        is_so(&self.first) || self.attempts() > 1 && self.later().iter().any(|it| is_so(&it.state))
    }

    pub(super) fn later(&self) -> MutexGuard<'_, Vec<Arc<Later>>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is known to have become of the call.
    pub(crate) fn note(&self, outcome: Outcome) {
        let code = outcome.code();
        // Mostly it is known, and to look at it costs less than to note it again.
        if self.worst.load(Ordering::Acquire) < code {
            self.worst.fetch_max(code, Ordering::AcqRel);
        }
    }

    /// The greatest outcome of the attempts that have ended.
    pub(crate) fn settled_outcome(&self) -> Outcome {
        Outcome::from_code(self.worst.load(Ordering::Acquire))
    }

    /// The call mints a token that lives this long.
    pub(crate) fn set_life(&self, life: Duration) {
        self.life.store(life.as_secs(), Ordering::Relaxed);
    }

    /// How long a token lives that this call mints, if it mints one.
    pub(crate) fn life(&self) -> Option<Duration> {
        let seconds = self.life.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// A token was minted that the caller will not get.
    pub(crate) fn note_lost(&self, id: ActorTokenId) {
        self.note(Outcome::Applied);
        let _ = self.lost.set(id);
    }

    /// Lets `guard` answer for the token in an answer that is on its way up.
    pub(crate) fn guard(&self, guard: Arc<dyn Guard>) {
        let late = self.guards().add(guard);
        // Dropped, it settles its token, and that may take its time: not while the others wait.
        drop(late);
    }

    /// Takes the guards of all answers, for good. Those that are dropped settle their tokens: a call has
    /// one answer.
    pub(crate) fn take_guards(&self) -> Guards {
        std::mem::replace(&mut *self.guards(), Guards::Closed)
    }

    fn guards(&self) -> MutexGuard<'_, Guards> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("attempts", &self.attempts())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}
