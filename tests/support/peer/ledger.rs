//! What the peer was asked and did.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::OperationKind;

use super::{Asked, Content, Effect, Exchange, Head};

/// What the peer was asked and did, in the order in which requests reached it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) creates: Vec<Create>,
    pub(crate) revokes: Vec<Revoke>,
    /// Which requests of a kind belong to a call.
    calls: HashMap<(OperationKind, usize), Vec<usize>>,
    revokes_at_once: usize,
    pub(crate) most_revokes_at_once: usize,
}

/// One create that reached the transport.
#[derive(Debug, Default)]
pub(crate) struct Create {
    pub(crate) call: usize,
    pub(crate) id: String,
    /// The transport has the body.
    pub(crate) taken: bool,
    pub(crate) minted: bool,
    /// Whoever waits for the answer learns the id.
    pub(crate) tells_id: bool,
    /// Whoever gets anything of the answer learns at once that it is about another user.
    pub(crate) tells_foreign: bool,
    /// The head that came, if one did.
    pub(crate) status: Option<u16>,
    /// All came that was to come, in whatever way it ended, and the caller saw it.
    pub(crate) ended: bool,
    /// When this one was taken, an earlier one of its call had failed and may have had an effect.
    pub(crate) after_failure: bool,
    /// When this one was taken, an earlier one of its call was still on its way.
    pub(crate) after_open: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Revoke {
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
        let indices = self.calls.get(&(OperationKind::Create, call));
        let indices = indices.into_iter().flatten();
        indices.map(|index| &self.creates[*index])
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
    kind: OperationKind,
    index: usize,
    /// When it has its effect, if it has not had it.
    effect: Effect,
}

impl Entry {
    /// Notes what the answer will tell.
    pub(super) fn plan(&self, plan: &Exchange) {
        let token = matches!(
            plan.content,
            Content::Token | Content::TokenWithoutCredential
        );
        let answered = matches!(plan.head, Head::Status(200, _));
        let foreign = matches!(plan.content, Content::Foreign);
        self.note(|it| {
            it.tells_id = answered && token && plan.length >= 500;
            it.tells_foreign = answered && foreign && plan.length == 1000 && plan.frames == 1;
        });
    }

    pub(super) fn of_create(ledger: &Arc<Mutex<Ledger>>, call: usize) -> (Asked, Self) {
        Self::new(ledger, OperationKind::Create, call, |ledger| {
            let index = ledger.creates.len();
            ledger.creates.push(Create {
                call,
                id: format!("act_{index}"),
                ..Create::default()
            });
            index
        })
    }

    pub(super) fn of_revoke(ledger: &Arc<Mutex<Ledger>>, call: usize, path: &str) -> (Asked, Self) {
        let id = path.rsplit('/').nth(1).expect("…/{id}/revoke").to_owned();
        Self::new(ledger, OperationKind::Revoke, call, |ledger| {
            ledger.revokes.push(Revoke {
                id,
                ..Revoke::default()
            });
            ledger.revokes.len() - 1
        })
    }

    fn new(
        shared: &Arc<Mutex<Ledger>>,
        kind: OperationKind,
        call: usize,
        record: impl FnOnce(&mut Ledger) -> usize,
    ) -> (Asked, Self) {
        let ledger = &mut *shared.lock().unwrap();
        let index = record(ledger);
        let of_call = ledger.calls.entry((kind, call)).or_default();
        of_call.push(index);
        let before = of_call.len() - 1;
        let asked = Asked { call, kind, before };
        let entry = Self {
            ledger: Arc::clone(shared),
            kind,
            index,
            effect: Effect::Never,
        };
        (asked, entry)
    }

    /// The transport has the body now, and the peer is sure to do what it asks for.
    pub(super) fn take(&mut self, effect: Effect) {
        self.effect = effect;
        {
            let ledger = &mut *self.ledger.lock().unwrap();
            if self.kind == OperationKind::Create {
                let call = ledger.creates[self.index].call;
                // This one is not taken yet, and so harmless.
                let doubtful = ledger.creates_of(call).filter(|it| !it.is_harmless());
                let (ended, open): (Vec<_>, Vec<_>) = doubtful.partition(|it| it.ended);
                let (after_failure, after_open) = (!ended.is_empty(), !open.is_empty());
                let own = &mut ledger.creates[self.index];
                own.taken = true;
                own.after_failure = after_failure;
                own.after_open = after_open;
            } else {
                ledger.revokes[self.index].taken = true;
                ledger.revokes_at_once += 1;
                ledger.most_revokes_at_once =
                    ledger.most_revokes_at_once.max(ledger.revokes_at_once);
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
        if self.kind == OperationKind::Create {
            ledger.creates[self.index].minted = true;
        } else {
            ledger.revokes[self.index].revoked = true;
        }
    }

    /// The id that the answer tells.
    pub(super) fn id(&self) -> String {
        let ledger = self.ledger.lock().unwrap();
        if self.kind == OperationKind::Create {
            ledger.creates[self.index].id.clone()
        } else {
            ledger.revokes[self.index].id.clone()
        }
    }

    fn note(&self, note: impl FnOnce(&mut Create)) {
        if self.kind == OperationKind::Create {
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
        let mut ledger = self.ledger.lock().unwrap();
        if self.kind == OperationKind::Revoke && ledger.revokes[self.index].taken {
            ledger.revokes_at_once -= 1;
        }
    }
}
