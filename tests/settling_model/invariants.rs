//! The checks after a program: every minted token is returned, revoked or reported.

use std::collections::HashSet;

use clerk_actor_tokens::layer::settle::SettleEnd;

use crate::{
    support::peer::{FOREIGN, MARKER},
    world::{Report, World},
};

/// A violation of the promise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("{0} was minted, and neither returned nor revoked nor reported")]
    Orphan(String),
    #[error("call {call}: {sent} creates may have minted a token, but {ends} ends are known")]
    Unbalanced {
        call: usize,
        sent: usize,
        ends: usize,
    },
    #[error("{0} has two ends")]
    Twice(String),
    #[error("{0} was revoked although it was returned to a caller")]
    RevokedInUse(String),
    #[error("{0} was reported as revoked, but is not")]
    NotRevoked(String),
    #[error("{0} was sent although an earlier create may have minted a token")]
    SentAgain(String),
    #[error("call {0}: the outcome of its error excludes the effect that it had")]
    WrongOutcome(usize),
    #[error("{0} was revoked, although it belongs to another user")]
    RevokedForeign(String),
    #[error("a secret shows: {0}")]
    Secret(String),
}

/// Checks that minted == returned + revoked + reported, and the outcomes and attempts of each call.
///
/// The equation holds for each call, and for each create that the peer took. A client cannot know which of them
/// minted a token, so each has exactly one end: a response that excludes a token; a token that was returned, ended
/// by its holder, or expired; or one report. A missing report is an orphan, and a second one is a false alarm. A
/// report without an id stands for a create without a known id. The token of another user is reported in addition.
pub(crate) fn check(world: &World) -> Result<(), Violation> {
    if world.shown.contains(MARKER) {
        return Err(Violation::Secret(world.shown.clone()));
    }
    for call in 0..world.results.len() {
        check_ids(world, call)?;
        check_balance(world, call)?;
        check_attempts(world, call)?;
    }
    Ok(())
}

/// Each id has at most one end, which is true. A minted token without one is covered by a report without its id.
fn check_ids(world: &World, call: usize) -> Result<(), Violation> {
    let ledger = world.peer.ledger();
    let result = &world.results[call];
    let reports: Vec<_> = world
        .reports()
        .into_iter()
        .filter(|it| it.call == call)
        .collect();
    let mut ended = HashSet::new();
    let held = result.returned.iter().chain(&result.ended);
    for id in held.chain(reports.iter().filter_map(|it| it.id.as_ref())) {
        if !ended.insert(id.as_str()) {
            return Err(Violation::Twice(id.clone()));
        }
    }
    if let Some(id) = result.returned.iter().find(|id| ledger.is_revoked(id)) {
        return Err(Violation::RevokedInUse(id.clone()));
    }
    for report in reports.iter().filter(|it| it.end == SettleEnd::Revoked) {
        let id = report.id.clone().unwrap_or_default();
        if !ledger.is_revoked(&id) {
            return Err(Violation::NotRevoked(id));
        }
    }
    for create in ledger.creates_of(call).filter(|it| it.names_other_user) {
        let id = format!("{}{FOREIGN}", create.id);
        if ledger.revokes.iter().any(|it| it.id == id) {
            return Err(Violation::RevokedForeign(id));
        }
    }
    let own = |id: &String| ledger.creates_of(call).any(|it| it.id == *id);
    let mut covering = reports
        .iter()
        .filter(|it| it.end != SettleEnd::Foreign && !it.id.as_ref().is_some_and(own))
        .count();
    for create in ledger
        .creates_of(call)
        .filter(|it| it.minted && !ended.contains(it.id.as_str()))
    {
        if covering == 0 {
            return Err(Violation::Orphan(create.id.clone()));
        }
        covering -= 1;
    }
    Ok(())
}

fn check_balance(world: &World, call: usize) -> Result<(), Violation> {
    let ledger = world.peer.ledger();
    let result = &world.results[call];
    let sent = ledger
        .creates_of(call)
        .filter(|it| it.taken && !it.is_refused())
        .count();
    let is_own = |it: &&Report| it.call == call && it.end != SettleEnd::Foreign;
    let reports = world.reports();
    let ends =
        reports.iter().filter(is_own).count() + result.returned.iter().chain(&result.ended).count();
    if sent == ends {
        Ok(())
    } else {
        Err(Violation::Unbalanced { call, sent, ends })
    }
}

/// A create is sent again only if the earlier ones had no effect, or timed out and are settled as the call
/// allows. An outcome that excludes an effect is true.
fn check_attempts(world: &World, call: usize) -> Result<(), Violation> {
    let ledger = world.peer.ledger();
    let result = &world.results[call];
    let mut creates = ledger.creates_of(call);
    if let Some(create) =
        creates.find(|it| it.after_failure || it.during_another && !result.may_replay)
    {
        return Err(Violation::SentAgain(create.id.clone()));
    }
    let denied = result
        .error
        .as_ref()
        .is_some_and(|error| error.outcome().is_without_effect());
    if denied && ledger.creates_of(call).any(|it| it.minted) {
        return Err(Violation::WrongOutcome(call));
    }
    Ok(())
}
