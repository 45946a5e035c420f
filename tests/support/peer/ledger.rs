//! What the peer was asked and did.

use std::sync::{Arc, Mutex};

use clerk_actor_tokens::Intent;

use super::{Asked, Effect};

/// What the peer was asked and did, in the order in which requests reached it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) creates: Vec<Create>,
    pub(crate) revokes: Vec<Revoke>,
}

/// One create that reached the transport.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) call: usize,
    pub(crate) id: String,
    /// The transport has the body.
    pub(crate) taken: bool,
    pub(crate) minted: bool,
    /// The head that came, if one did.
    pub(crate) status: Option<u16>,
    /// All came that was to come, in whatever way it ended, and the caller saw it.
    pub(crate) ended: bool,
    /// When this one was taken, an earlier one of its call had failed and may have had an effect.
    pub(crate) after_failure: bool,
    /// When this one was taken, an earlier one of its call was still on its way.
    pub(crate) after_open: bool,
}

#[derive(Debug)]
pub(crate) struct Revoke {
    pub(crate) call: usize,
    pub(crate) id: String,
    pub(crate) taken: bool,
    pub(crate) revoked: bool,
}

impl Create {
    /// The peer said that nothing was minted.
    pub(crate) fn is_refused(&self) -> bool {
        self.status
            .is_some_and(|status| (400..500).contains(&status))
    }

    /// Whoever saw it so may send another one: it had no effect.
    fn is_harmless(&self) -> bool {
        !self.taken || self.is_refused()
    }
}

impl Ledger {
    pub(crate) fn creates_of(&self, call: usize) -> impl Iterator<Item = &Create> {
        self.creates.iter().filter(move |it| it.call == call)
    }

    pub(crate) fn minted(&self) -> impl Iterator<Item = &Create> {
        self.creates.iter().filter(|it| it.minted)
    }

    pub(crate) fn is_revoked(&self, id: &str) -> bool {
        self.revokes.iter().any(|it| it.revoked && it.id == id)
    }
}

/// One request in the ledger.
pub(super) struct Entry {
    ledger: Arc<Mutex<Ledger>>,
    intent: Intent,
    index: usize,
    /// When it has its effect, if it has not had it.
    effect: Effect,
}

impl Entry {
    pub(super) fn of_create(ledger: &Arc<Mutex<Ledger>>, call: usize) -> (Asked, Self) {
        let entries = &mut ledger.lock().unwrap().creates;
        let (before, index) = (
            entries.iter().filter(|it| it.call == call).count(),
            entries.len(),
        );
        entries.push(Create {
            call,
            id: format!("act_{index}"),
            taken: false,
            minted: false,
            status: None,
            ended: false,
            after_failure: false,
            after_open: false,
        });
        Self::new(ledger, Intent::Create, call, before, index)
    }

    pub(super) fn of_revoke(ledger: &Arc<Mutex<Ledger>>, call: usize, path: &str) -> (Asked, Self) {
        let entries = &mut ledger.lock().unwrap().revokes;
        let (before, index) = (
            entries.iter().filter(|it| it.call == call).count(),
            entries.len(),
        );
        let id = path.rsplit('/').nth(1).expect("…/{id}/revoke").to_owned();
        let (taken, revoked) = (false, false);
        entries.push(Revoke {
            call,
            id,
            taken,
            revoked,
        });
        Self::new(ledger, Intent::Revoke, call, before, index)
    }

    fn new(
        ledger: &Arc<Mutex<Ledger>>,
        intent: Intent,
        call: usize,
        before: usize,
        index: usize,
    ) -> (Asked, Self) {
        let entry = Self {
            ledger: Arc::clone(ledger),
            intent,
            index,
            effect: Effect::Never,
        };
        let asked = Asked {
            call,
            intent,
            before,
        };
        (asked, entry)
    }

    /// The transport has the body now, and the peer is sure to do what it asks for.
    pub(super) fn take(&mut self, effect: Effect) {
        self.effect = effect;
        {
            let Ledger { creates, revokes } = &mut *self.ledger.lock().unwrap();
            if self.intent == Intent::Create {
                let (before, rest) = creates.split_at_mut(self.index);
                let own = &mut rest[0];
                own.taken = true;
                for other in before
                    .iter()
                    .filter(|it| it.call == own.call && !it.is_harmless())
                {
                    own.after_failure |= other.ended;
                    own.after_open |= !other.ended;
                }
            } else {
                revokes[self.index].taken = true;
            }
        }
        self.reach(Effect::WhenTaken);
    }

    pub(super) fn head(&mut self, status: u16) {
        self.note(|it| {
            it.status = Some(status);
            it.ended |= status != 200 && is_seen();
        });
        self.reach(Effect::WithHead);
    }

    pub(super) fn end(&mut self) {
        self.note(|it| it.ended |= is_seen());
    }

    /// The exchange has come to where it has this effect.
    pub(super) fn reach(&mut self, effect: Effect) {
        if self.effect != effect || effect == Effect::Never {
            return;
        }
        self.effect = Effect::Never;
        let mut ledger = self.ledger.lock().unwrap();
        if self.intent == Intent::Create {
            ledger.creates[self.index].minted = true;
        } else {
            ledger.revokes[self.index].revoked = true;
        }
    }

    pub(super) fn id(&self) -> String {
        let ledger = self.ledger.lock().unwrap();
        if self.intent == Intent::Create {
            ledger.creates[self.index].id.clone()
        } else {
            ledger.revokes[self.index].id.clone()
        }
    }

    fn note(&self, note: impl FnOnce(&mut Create)) {
        if self.intent == Intent::Create {
            note(&mut self.ledger.lock().unwrap().creates[self.index]);
        }
    }
}

/// Whether the caller is here, and not a task that follows what the caller has given up.
fn is_seen() -> bool {
    tokio::task::try_id().is_none()
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.reach(self.effect);
    }
}
