//! The books: what was read and reported, held against what the sandbox minted.
//!
//! Every create is for a user of its own, and carries the number of that user in the extensions of
//! its request. So each token in the ledger of the sandbox is known by its create, and so is each
//! report, whether it names a token or, since the answer was lost, cannot. Nothing is matched by mere
//! sums: a report about one create covers no token of another.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clerk_actor_tokens::{
    ActorTokenStatus,
    layer::settle::{SettleEnd, SettleEvent},
    sandbox::{Ledger, LedgerEntry},
};

use crate::ending::{Ending, Plan};

/// The number of a create: twice that of its call, and one more for the rival in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Create(pub(crate) u64);

impl Create {
    pub(crate) fn user_id(self) -> String {
        format!("user_{}", self.0)
    }

    fn of_entry(entry: &LedgerEntry) -> Option<Self> {
        entry
            .user_id()
            .strip_prefix("user_")?
            .parse()
            .ok()
            .map(Self)
    }
}

/// What is noted during a round.
#[derive(Clone, Default)]
pub(crate) struct Books(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    tally: Tally,
    /// The ids of the tokens whose tickets were read.
    read: HashSet<String>,
    /// The creates whose callers were told that nothing was minted.
    ruled_out: HashSet<Create>,
    reports: HashMap<Create, Reports>,
}

/// What was reported of one create, except for tokens that were revoked.
#[derive(Default)]
struct Reports {
    /// That this token could not be revoked.
    of_tokens: HashSet<String>,
    /// That a token may exist whose id did not come.
    unknown: u64,
}

impl Books {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self) {
        self.notes().tally.creates += 1;
    }

    pub(crate) fn answer(&self) {
        self.notes().tally.answered += 1;
    }

    /// Notes that a create failed, and whether its caller was told that nothing was minted.
    pub(crate) fn fail(&self, create: Create, ruled_out: bool) {
        let mut notes = self.notes();
        notes.tally.failed += 1;
        if ruled_out {
            notes.tally.ruled_out += 1;
            notes.ruled_out.insert(create);
        }
    }

    pub(crate) fn read(&self, id: String) {
        self.notes().read.insert(id);
    }

    /// Notes what the client tells of a token that its caller did not get.
    pub(crate) fn report(&self, event: &SettleEvent) {
        let Some(create) = event.extensions().get() else {
            return;
        };
        if event.end() == SettleEnd::Revoked {
            // Whether that is true, the ledger tells.
            return;
        }
        let mut notes = self.notes();
        let reports = notes.reports.entry(*create).or_default();
        match event.actor_token_id() {
            Some(id) => drop(reports.of_tokens.insert(id.to_string())),
            None => reports.unknown += 1,
        }
    }

    /// Holds what was noted against what was minted.
    pub(crate) fn close(&self, ledger: &Ledger, seed: u64) -> Tally {
        let mut notes = std::mem::take(&mut *self.notes());
        let mut tally = notes.tally;
        for entry in ledger.minted() {
            tally.minted += 1;
            let (id, create) = (entry.id().as_str(), Create::of_entry(entry));
            let read = notes.read.contains(id);
            let ruled_out = create.is_some_and(|create| notes.ruled_out.contains(&create));
            tally.denied += u64::from(ruled_out);
            let reports = create.and_then(|create| notes.reports.get_mut(&create));
            if *entry.status() == ActorTokenStatus::Revoked {
                tally.revoked += 1;
                tally.taken_away += u64::from(read);
            } else if read {
                tally.returned += 1;
            } else if reports.is_some_and(|reports| reports.cover(id)) {
                tally.reported += 1;
            } else if !entry.is_usable() {
                tally.expired += 1;
            } else {
                tally.orphaned += 1;
                if let Some(create) = create {
                    let ending = Plan::of(seed, create.0 / 2).ending;
                    tally.orphaned_by[ending as usize] += 1;
                }
            }
        }
        // What is left of the reports stands for tokens that were not minted, which whoever reports
        // cannot know, or that were revoked all the same.
        tally.reports_of_nothing = notes
            .reports
            .values()
            .map(|reports| reports.unknown + reports.of_tokens.len() as u64)
            .sum();
        tally
    }
}

impl Reports {
    /// Whether one of these is about a live token of this create, whose id this is; it is about no
    /// other then.
    fn cover(&mut self, id: &str) -> bool {
        if self.of_tokens.remove(id) {
            return true;
        }
        let covers = self.unknown > 0;
        self.unknown -= u64::from(covers);
        covers
    }
}

/// What became of creates, and of the tokens that they minted: each is counted once under returned,
/// revoked, reported, expired or orphaned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) creates: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// Failed, and nothing was minted, by what its caller was told.
    pub(crate) ruled_out: u64,
    pub(crate) minted: u64,
    pub(crate) returned: u64,
    pub(crate) revoked: u64,
    /// Live, and somebody was told.
    pub(crate) reported: u64,
    /// Neither of these, but its life has ended.
    pub(crate) expired: u64,
    /// Live, and nobody knows of it.
    pub(crate) orphaned: u64,
    pub(crate) orphaned_by: [u64; Ending::ALL.len()],
    pub(crate) reports_of_nothing: u64,
    /// Revoked, although its caller had it.
    pub(crate) taken_away: u64,
    /// Minted, although its caller was told that nothing was.
    pub(crate) denied: u64,
    pub(crate) calling: Duration,
    pub(crate) draining: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.creates += other.creates;
        self.answered += other.answered;
        self.failed += other.failed;
        self.ruled_out += other.ruled_out;
        self.minted += other.minted;
        self.returned += other.returned;
        self.revoked += other.revoked;
        self.reported += other.reported;
        self.expired += other.expired;
        self.orphaned += other.orphaned;
        for (sum, part) in self.orphaned_by.iter_mut().zip(other.orphaned_by) {
            *sum += part;
        }
        self.reports_of_nothing += other.reports_of_nothing;
        self.taken_away += other.taken_away;
        self.denied += other.denied;
        self.calling += other.calling;
        self.draining += other.draining;
    }

    /// Creates that were dropped before they ended.
    pub(crate) fn cancelled(&self) -> u64 {
        self.creates - self.answered - self.failed
    }

    pub(crate) fn keeps_the_promise(&self) -> bool {
        self.orphaned == 0 && self.taken_away == 0 && self.denied == 0
    }
}
