//! Whether every credential is accounted for.

use std::collections::HashSet;

use clerk_actor_tokens::layer::settle::SettleEnd;

use crate::{
    support::peer::{FOREIGN, MARKER},
    world::{Report, World},
};

/// How a promise was broken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("{0} was minted, and was neither returned nor revoked nor reported")]
    Orphan(String),
    #[error("call {call}: {sent} creates may have minted, and {ends} ends were met")]
    Unbalanced {
        call: usize,
        sent: usize,
        ends: usize,
    },
    #[error("{0} met two ends")]
    Twice(String),
    #[error("{0} was revoked although its holder answers for it")]
    RevokedInUse(String),
    #[error("{0} is said to be revoked, and is not")]
    NotRevoked(String),
    #[error("{0} was sent although a create before it may have minted")]
    SentAgain(String),
    #[error("call {0}: its error says that it had no effect, and it had one")]
    WrongOutcome(usize),
    #[error("{0} was revoked, the token of another user")]
    RevokedForeign(String),
    #[error("a secret shows: {0}")]
    Secret(String),
}

/// Checks that minted == returned + revoked + reported, and what goes with it.
///
/// The equation is kept for each call by itself, and for all creates that the transport took, not
/// only for those that minted: nobody but the peer can tell these apart, so that each of them must
/// meet exactly one end. It has an answer that says that nothing was minted, or its credential was
/// returned to somebody who answers for it (or gave it up by hand, or let it expire), or there is
/// exactly one report. This is an equality: one report too few is an orphan that nobody knows of,
/// one too many is an alarm for nothing. A report without an id stands in it for a create whose id never
/// came. A foreign token is reported beside that, and stands for no create.
pub(crate) fn check(world: &World) -> Result<(), Violation> {
    if world.shown.contains(MARKER) {
        return Err(Violation::Secret(world.shown.clone()));
    }
    for call in 0..world.answers.len() {
        check_ids(world, call)?;
        check_balance(world, call)?;
        check_attempts(world, call)?;
    }
    Ok(())
}

/// Each id meets at most one end, and that end is the true one; what has none is covered.
fn check_ids(world: &World, call: usize) -> Result<(), Violation> {
    let ledger = world.peer.ledger();
    let answer = &world.answers[call];
    let reports: Vec<_> = world
        .reports()
        .into_iter()
        .filter(|it| it.call == call)
        .collect();
    let mut met = HashSet::new();
    let held = answer.returned.iter().chain(&answer.ended);
    for id in held.chain(reports.iter().filter_map(|it| it.id.as_ref())) {
        if !met.insert(id.as_str()) {
            return Err(Violation::Twice(id.clone()));
        }
    }
    if let Some(id) = answer.returned.iter().find(|id| ledger.is_revoked(id)) {
        return Err(Violation::RevokedInUse(id.clone()));
    }
    for report in reports.iter().filter(|it| it.end == SettleEnd::Revoked) {
        let id = report.id.clone().unwrap_or_default();
        if !ledger.is_revoked(&id) {
            return Err(Violation::NotRevoked(id));
        }
    }
    for create in ledger.creates_of(call).filter(|it| it.tells_foreign) {
        let id = format!("{}{FOREIGN}", create.id);
        if ledger.revokes.iter().any(|it| it.id == id) {
            return Err(Violation::RevokedForeign(id));
        }
    }
    let own = |id: &String| ledger.creates_of(call).any(|it| it.id == *id);
    let mut cover = reports
        .iter()
        .filter(|it| it.end != SettleEnd::Foreign && !it.id.as_ref().is_some_and(own))
        .count();
    for create in ledger
        .creates_of(call)
        .filter(|it| it.minted && !met.contains(it.id.as_str()))
    {
        if cover == 0 {
            return Err(Violation::Orphan(create.id.clone()));
        }
        cover -= 1;
    }
    Ok(())
}

fn check_balance(world: &World, call: usize) -> Result<(), Violation> {
    let ledger = world.peer.ledger();
    let answer = &world.answers[call];
    let sent = ledger
        .creates_of(call)
        .filter(|it| it.taken && !it.is_refused())
        .count();
    let is_own = |it: &&Report| it.call == call && it.end != SettleEnd::Foreign;
    let reports = world.reports();
    let ends =
        reports.iter().filter(is_own).count() + answer.returned.iter().chain(&answer.ended).count();
    if sent == ends {
        Ok(())
    } else {
        Err(Violation::Unbalanced { call, sent, ends })
    }
}

/// A create is sent again only where the one before had no effect, or timed out and is settled by
/// whoever asked for that; and an error that speaks of no effect is right.
fn check_attempts(world: &World, call: usize) -> Result<(), Violation> {
    let ledger = world.peer.ledger();
    let answer = &world.answers[call];
    let mut creates = ledger.creates_of(call);
    if let Some(create) = creates.find(|it| it.after_failure || it.after_open && !answer.may_replay)
    {
        return Err(Violation::SentAgain(create.id.clone()));
    }
    let denied = answer
        .error
        .as_ref()
        .is_some_and(|error| error.outcome().is_without_effect());
    if denied && ledger.creates_of(call).any(|it| it.minted) {
        return Err(Violation::WrongOutcome(call));
    }
    Ok(())
}
