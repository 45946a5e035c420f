//! Whether the audit is complete, and agrees with the callers and with the sandbox's ledger.

use std::collections::HashMap;

use clerk_actor_tokens::{
    ActorTokenStatus, ErrorKind, Outcome, client::SettleEnd, sandbox::LedgerEntry,
};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{End, Entry, Event, FollowUp},
};

use crate::world::{CallResult, Remains};

/// How a promise was broken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("call {0} has an entry without a begin")]
    NotBegun(CallId),
    #[error("call {0} began and has no end")]
    NoEnd(CallId),
    #[error("call {0} has two entries of one kind")]
    Twice(CallId),
    #[error("the entries of call {0} are not in order")]
    Order(CallId),
    #[error("call {0} may have been sent, and was not marked")]
    NotMarked(CallId),
    #[error("the end of call {0} does not agree with the ledger: {1}")]
    Ledger(CallId, String),
    #[error("the end of call {0} does not agree with its caller: {1}")]
    Caller(usize, String),
    #[error("a call was returned before its end was in the audit")]
    ReturnedBeforeEnd,
    #[error("a token that call {0} minted was returned, revoked and reported {1} times")]
    Balance(CallId, usize),
    #[error("the audit has not what became of a token of call {0}")]
    NotFollowedUp(CallId),
}

/// The entries of one call.
#[derive(Default)]
struct Story {
    begun: Vec<usize>,
    sending: Vec<usize>,
    ends: Vec<(usize, End)>,
    follow_ups: Vec<FollowUp>,
}

impl Story {
    fn add(&mut self, at: usize, event: Event) {
        match event {
            Event::Begin(_) => self.begun.push(at),
            Event::Sending => self.sending.push(at),
            Event::End(end) => self.ends.push((at, end)),
            Event::FollowUp(event) => self.follow_ups.push(event),
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// Returns whether it is only the mark of a revoke that the sink could not mark.
    fn is_mark(&self) -> bool {
        self.sending.len() == 1 && self.begun.is_empty() && self.ends.is_empty()
    }

    /// Each entry that is there is there once, and in order.
    fn check(&self, call: CallId) -> Result<(), Violation> {
        let [begun] = *self.begun else {
            return Err(match self.begun.len() {
                0 => Violation::NotBegun(call),
                _ => Violation::Twice(call),
            });
        };
        let [(ended, _)] = *self.ends else {
            return Err(match self.ends.len() {
                0 => Violation::NoEnd(call),
                _ => Violation::Twice(call),
            });
        };
        match *self.sending {
            [] if begun < ended => Ok(()),
            [sending] if begun < sending && sending < ended => Ok(()),
            [_, _, ..] => Err(Violation::Twice(call)),
            _ => Err(Violation::Order(call)),
        }
    }
}

pub(crate) fn check(remains: &Remains) -> Result<(), Violation> {
    let mut stories = HashMap::<(CallId, bool), Story>::new();
    for (
        at,
        Entry {
            call, late, event, ..
        },
    ) in remains.audit.iter().cloned().enumerate()
    {
        stories.entry((call, late)).or_default().add(at, event);
    }
    for ((call, late), story) in &stories {
        if *late && story.is_mark() {
            continue;
        }
        story.check(*call)?;
        let is_given_up = matches!(story.ends[0].1, End::Abandoned) && story.sending.is_empty();
        let is_replaced = stories
            .get(&(*call, true))
            .is_some_and(|late| !late.is_mark());
        if !late && is_replaced && !is_given_up {
            return Err(Violation::Twice(*call));
        }
    }
    let mut minted = HashMap::<String, Vec<&LedgerEntry>>::new();
    for entry in remains.ledger.minted() {
        let call = entry.actor().claims()["call"].as_str().unwrap();
        minted.entry(call.to_owned()).or_default().push(entry);
    }
    for (number, result) in remains.results.iter().enumerate() {
        let Some(call) = remains.ids.get(&number) else {
            // It did not get past the audit.
            check_without_call(number, &result.result)?;
            continue;
        };
        let own = minted.remove(&call.to_string()).unwrap_or_default();
        let late = stories.get(&(*call, true));
        let story = late
            .filter(|late| !late.is_mark())
            .or(stories.get(&(*call, false)))
            .ok_or(Violation::NotBegun(*call))?;
        let (_, end) = &story.ends[0];
        let is_marked = !story.sending.is_empty() || late.is_some_and(Story::is_mark);
        if end.outcome() > Outcome::NotSent && !is_marked {
            return Err(Violation::NotMarked(*call));
        }
        check_caller(number, &result.result, end, story)?;
        match &result.revokes {
            None => check_create(remains, number, *call, end, story, &own)?,
            Some(id) => {
                let mut entries = remains.ledger.minted();
                let entry = entries.find(|entry| entry.id() == id).unwrap();
                check_revoke(*call, end, entry)?;
            }
        }
    }
    assert!(minted.is_empty(), "a token of no call: {minted:?}");
    Ok(())
}

fn check_without_call(number: usize, result: &CallResult) -> Result<(), Violation> {
    match result {
        CallResult::Cancelled | CallResult::Panicked => Ok(()),
        CallResult::Failed(error)
            if error.kind() == ErrorKind::Refused && error.outcome() == Outcome::NotSent =>
        {
            Ok(())
        }
        other => Err(Violation::Caller(number, format!("{other:?}"))),
    }
}

/// The audit and the caller know the same.
fn check_caller(
    number: usize,
    result: &CallResult,
    end: &End,
    story: &Story,
) -> Result<(), Violation> {
    let is_withheld = |event: &FollowUp| matches!(event, FollowUp::Withheld);
    let withheld = story
        .follow_ups
        .iter()
        .filter(|event| is_withheld(event))
        .count();
    let agrees = match (result, end) {
        (CallResult::Returned(id, _), End::Returned { actor_token_id, .. }) => {
            id == actor_token_id && withheld == 0
        }
        (CallResult::Failed(error), End::Returned { .. }) => {
            error.code() == Some("audit_unavailable")
                && error.outcome() == Outcome::Applied
                && withheld == 1
        }
        (CallResult::Failed(error), End::Refused { .. }) => {
            error.kind() == ErrorKind::Refused && error.outcome() == Outcome::NotSent
        }
        (CallResult::Failed(error), End::Failed { effect, .. }) => {
            error.outcome() == effect.outcome
                && error.attempts() == effect.attempts
                && error.actor_token_id() == effect.actor_token_id.as_ref()
        }
        // The caller left, or the sink panicked, before the call or while the end was written.
        (CallResult::Cancelled | CallResult::Panicked, End::Returned { .. }) => true,
        (
            CallResult::Cancelled | CallResult::Panicked,
            End::Refused { .. } | End::Failed { .. },
        ) => withheld == 0,
        (CallResult::Cancelled, End::Cancelled(_)) => withheld == 0,
        (CallResult::Panicked, End::Panicked(_)) => withheld == 0,
        _ => false,
    };
    match agrees {
        true => Ok(()),
        false => Err(Violation::Caller(
            number,
            format!("{result:?}, {end:?}, withheld {withheld}"),
        )),
    }
}

fn check_create(
    remains: &Remains,
    number: usize,
    call: CallId,
    end: &End,
    story: &Story,
    own: &[&LedgerEntry],
) -> Result<(), Violation> {
    let result = &remains.results[number];
    // The sink never has the end of a create later, because the spool is in memory.
    if matches!(result.result, CallResult::Returned(_, false)) {
        return Err(Violation::ReturnedBeforeEnd);
    }
    let agrees = match end {
        End::Returned { actor_token_id, .. } => own.len() == 1 && own[0].id() == actor_token_id,
        // An attempt that is followed may still mint, or may not.
        end if end.outcome() == Outcome::Unknown => own.len() <= 1,
        end if end.outcome() == Outcome::Applied => own.len() == 1,
        _ => own.is_empty(),
    };
    if !agrees {
        let minted: Vec<_> = own.iter().map(|entry| entry.id()).collect();
        return Err(Violation::Ledger(
            call,
            format!("{end:?}, minted {minted:?}"),
        ));
    }
    let events = remains.settled.iter().filter(|(of, _)| *of == number);
    let settled: Vec<_> = events.map(|(_, event)| event).collect();
    let ends = usize::from(result.has_claimed) + settled.len();
    if ends > 1 || ends < own.len() {
        return Err(Violation::Balance(call, ends));
    }
    let is_revoked = own
        .iter()
        .any(|entry| entry.status() == &ActorTokenStatus::Revoked);
    let says_revoked = settled
        .iter()
        .any(|event| event.end() == SettleEnd::Revoked);
    if says_revoked && !is_revoked {
        return Err(Violation::Ledger(
            call,
            "it is said to be revoked, and is not".into(),
        ));
    }
    // The audit has each of these ends.
    let recorded = story.follow_ups.iter();
    let recorded = recorded.filter_map(|event| match event {
        FollowUp::Settled {
            settled,
            actor_token_id,
            ..
        } => Some((&**settled, actor_token_id.as_ref())),
        _ => None,
    });
    let settled = settled
        .iter()
        .map(|event| (event.end().as_str(), event.actor_token_id()));
    match recorded.eq(settled) {
        true => Ok(()),
        false => Err(Violation::NotFollowedUp(call)),
    }
}

/// Each token is revoked by one call at most.
fn check_revoke(call: CallId, end: &End, entry: &LedgerEntry) -> Result<(), Violation> {
    let is_revoked = entry.status() == &ActorTokenStatus::Revoked;
    let agrees = match end.outcome() {
        Outcome::Applied => is_revoked,
        Outcome::Unknown => true,
        _ => !is_revoked,
    };
    match agrees {
        true => Ok(()),
        false => Err(Violation::Ledger(
            call,
            format!("{end:?}, revoked: {is_revoked}"),
        )),
    }
}
