//! The requests that the peer received, and their effects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use clerk_actor_tokens::OperationKind;

use super::{Asked, Content, Effect, Exchange, Head};

/// The requests and their effects, in the order in which they reached the peer.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) creates: Vec<Create>,
    pub(crate) revokes: Vec<Revoke>,
    /// The requests of each kind and call.
    calls: HashMap<(OperationKind, usize), Vec<usize>>,
    concurrent_revokes: usize,
    pub(crate) most_concurrent_revokes: usize,
}

/// A create that reached the peer.
#[derive(Debug, Default)]
pub(crate) struct Create {
    pub(crate) call: usize,
    pub(crate) id: String,
    /// The peer took the body.
    pub(crate) taken: bool,
    pub(crate) minted: bool,
    /// The response names the id of the token.
    pub(crate) tells_id: bool,
    /// The first frame of the response shows that it is about another user.
    pub(crate) tells_foreign: bool,
    /// The status of the head, once it was sent.
    pub(crate) status: Option<u16>,
    /// The exchange ended in the caller's task, with or without an error.
    pub(crate) ended: bool,
    /// An earlier create of the call had ended when this one was taken, and may have minted a token.
    pub(crate) after_failure: bool,
    /// An earlier create of the call was in flight when this one was taken.
    pub(crate) after_open: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Revoke {
    pub(crate) id: String,
    pub(crate) taken: bool,
    pub(crate) revoked: bool,
}

impl Create {
    /// Returns whether the response says that nothing was minted. Proxies send three of the statuses after
    /// they have forwarded the request.
    pub(crate) fn is_refused(&self) -> bool {
        self.status
            .is_some_and(|status| matches!(status, 400..500) && !matches!(status, 408 | 460 | 499))
    }

    /// Returns whether nothing was minted, so that another create may be sent.
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
    /// The effect that is still to come.
    effect: Effect,
}

impl Entry {
    /// Records what the response will show.
    pub(super) fn plan(&self, plan: &Exchange) {
        let token = matches!(
            plan.content,
            Content::Token | Content::TokenWithoutCredential
        );
        let is_success = matches!(plan.head, Head::Status(200, _));
        let foreign = matches!(plan.content, Content::Foreign);
        self.note(|it| {
            it.tells_id = is_success && token && plan.length >= 500;
            it.tells_foreign = is_success && foreign && plan.length == 1000 && plan.frames == 1;
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

    /// Records that the peer took the body, which will have this effect.
    pub(super) fn kind(&self) -> OperationKind {
        self.kind
    }

    pub(super) fn take(&mut self, effect: Effect) {
        self.effect = effect;
        {
            let ledger = &mut *self.ledger.lock().unwrap();
            if self.kind == OperationKind::Create {
                let call = ledger.creates[self.index].call;
                // Excludes this one, which is not taken yet.
                let doubtful = ledger.creates_of(call).filter(|it| !it.is_harmless());
                let (ended, open): (Vec<_>, Vec<_>) = doubtful.partition(|it| it.ended);
                let (after_failure, after_open) = (!ended.is_empty(), !open.is_empty());
                let own = &mut ledger.creates[self.index];
                own.taken = true;
                own.after_failure = after_failure;
                own.after_open = after_open;
            } else {
                ledger.revokes[self.index].taken = true;
                ledger.concurrent_revokes += 1;
                ledger.most_concurrent_revokes = ledger
                    .most_concurrent_revokes
                    .max(ledger.concurrent_revokes);
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

    /// Applies the effect if this is its time.
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

    /// Returns the id in the response.
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

/// Returns whether the caller polls, and not a task that settles the exchange.
fn is_seen() -> bool {
    tokio::task::try_id().is_none()
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.reach(self.effect);
        let mut ledger = self.ledger.lock().unwrap();
        if self.kind == OperationKind::Revoke && ledger.revokes[self.index].taken {
            ledger.concurrent_revokes -= 1;
        }
    }
}
