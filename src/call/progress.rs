//! [`Progress`], what the attempts of one call say, and what became of them so far.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Content, attempt::Later, state::State};
use crate::{
    ActorTokenId, Outcome,
    guard::Guard,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
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
}

/// Mostly one; two where two attempts were made at once, and both were answered.
#[derive(Default)]
struct Guards {
    first: Option<Arc<dyn Guard>>,
    more: Vec<Arc<dyn Guard>>,
}

impl Progress {
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

    /// Whether an attempt was given up that somebody settles.
    pub(crate) fn is_followed(&self) -> bool {
        self.has_any(State::is_followed)
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

    /// Until when a token could be used that was minted by now.
    pub(crate) fn exposed_until(&self) -> Option<SystemTime> {
        SystemTime::now().checked_add(self.life()?)
    }

    /// A token was minted that the caller will not get.
    pub(crate) fn note_lost(&self, id: ActorTokenId) {
        self.note(Outcome::Applied);
        let _ = self.lost.set(id);
    }

    /// The token that was minted although the call failed, if its id is known.
    pub(crate) fn lost(&self) -> Option<&ActorTokenId> {
        self.lost.get()
    }

    /// Lets `guard` answer for the token in an answer that is on its way up.
    pub(crate) fn guard(&self, guard: Arc<dyn Guard>) {
        let mut guards = self.guards();
        if guards.first.is_none() {
            guards.first = Some(guard);
        } else {
            guards.more.push(guard);
        }
    }

    /// Takes the guards of all answers. Those that are dropped settle their tokens: a call has one
    /// answer.
    pub(crate) fn take_guards(&self) -> impl Iterator<Item = Arc<dyn Guard>> {
        let Guards { first, more } = std::mem::take(&mut *self.guards());
        first.into_iter().chain(more)
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
