//! [`Books`], the tokens that were read and reported, compared with the ledger of the sandbox.
//!
//! Every create is for a different user and carries that user's number in the extensions of its request.
//! So each token in the ledger belongs to a create, and so does each report, even if the response was lost
//! and it has no id. A report about one create covers no token of another.

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

/// The number of a create: twice the number of its call, and one more for the rival in a race.
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

/// The notes of a round.
#[derive(Clone, Default)]
pub(crate) struct Books(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    tally: Tally,
    /// The ids of the tokens whose tickets were read.
    read: HashSet<String>,
    /// The creates whose error states that nothing was minted.
    ruled_out: HashSet<Create>,
    reports: HashMap<Create, Reports>,
}

/// The reports about one create, except for tokens that were revoked.
#[derive(Default)]
struct Reports {
    /// The tokens that could not be revoked.
    of_tokens: HashSet<String>,
    /// How often a token may exist whose id was not received.
    unknown: u64,
}

impl Books {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self) {
        self.notes().tally.creates += 1;
    }

    pub(crate) fn succeed(&self) {
        self.notes().tally.succeeded += 1;
    }

    /// Notes that a create failed, and whether its error states that nothing was minted.
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

    /// Notes a report about a token that its caller did not get.
    pub(crate) fn report(&self, event: &SettleEvent) {
        let Some(create) = event.extensions().get() else {
            return;
        };
        if event.end() == SettleEnd::Revoked {
            // The ledger shows whether that is true.
            return;
        }
        let mut notes = self.notes();
        let reports = notes.reports.entry(*create).or_default();
        match event.actor_token_id() {
            Some(id) => drop(reports.of_tokens.insert(id.to_string())),
            None => reports.unknown += 1,
        }
    }

    /// Compares the notes with the tokens that were minted.
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
        // The remaining reports are about tokens that were not minted, which the client could not know, or
        // that were revoked in the end.
        tally.reports_of_nothing = notes
            .reports
            .values()
            .map(|reports| reports.unknown + reports.of_tokens.len() as u64)
            .sum();
        tally
    }
}

impl Reports {
    /// Returns whether a report covers the live token with this id, and uses that report up.
    fn cover(&mut self, id: &str) -> bool {
        if self.of_tokens.remove(id) {
            return true;
        }
        let covers = self.unknown > 0;
        self.unknown -= u64::from(covers);
        covers
    }
}

/// The numbers of creates and of the tokens that they minted. Each token is counted once: as returned,
/// revoked, reported, expired or orphaned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) creates: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Failed with an error which states that nothing was minted.
    pub(crate) ruled_out: u64,
    pub(crate) minted: u64,
    pub(crate) returned: u64,
    pub(crate) revoked: u64,
    /// Live and reported.
    pub(crate) reported: u64,
    /// Neither of these, but expired.
    pub(crate) expired: u64,
    /// Live, and neither returned nor reported.
    pub(crate) orphaned: u64,
    pub(crate) orphaned_by: [u64; Ending::ALL.len()],
    pub(crate) reports_of_nothing: u64,
    /// Revoked, although its caller had read it.
    pub(crate) taken_away: u64,
    /// Minted, although the error states that nothing was.
    pub(crate) denied: u64,
    pub(crate) calling: Duration,
    pub(crate) draining: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.creates += other.creates;
        self.succeeded += other.succeeded;
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
        self.creates - self.succeeded - self.failed
    }

    pub(crate) fn keeps_the_promise(&self) -> bool {
        self.orphaned == 0 && self.taken_away == 0 && self.denied == 0
    }
}
