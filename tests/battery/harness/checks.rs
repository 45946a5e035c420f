//! Further checks of rows.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clerk_actor_tokens::{ActorTokenId, Error, Outcome};

use super::run::Run;

/// A check of a finished row.
pub(crate) type Check = Arc<dyn Fn(&Run) -> Result<(), String> + Send + Sync>;

pub(crate) fn check(check: impl Fn(&Run) -> Result<(), String> + Send + Sync + 'static) -> Check {
    Arc::new(check)
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, actual: T, expected: T) -> Result<(), String> {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {actual:?}"))
    }
}

/// Each error has this status.
pub(crate) fn status(expected: u16) -> Check {
    check(move |run| {
        run.errors().try_for_each(|error| {
            let actual = error.status().map(|status| status.as_u16());
            equal("status", actual, Some(expected))
        })
    })
}

/// The first error has this code, or none.
pub(crate) fn code(expected: Option<&'static str>) -> Check {
    check(move |run| equal("code", run.error()?.code(), expected))
}

pub(crate) fn trace_id(expected: &'static str) -> Check {
    check(move |run| equal("trace id", run.error()?.trace_id(), Some(expected)))
}

/// Each error with outcome `Applied` has this id, or none.
pub(crate) fn salvaged(expected: Option<&'static str>) -> Check {
    check(move |run| {
        let applied = run
            .errors()
            .filter(|error| error.outcome() == Outcome::Applied);
        applied
            .map(Error::actor_token_id)
            .try_for_each(|id| equal("salvaged", id.map(ActorTokenId::as_str), expected))
    })
}

pub(crate) fn took(expected: RangeInclusive<Duration>) -> Check {
    check(move |run| match expected.contains(&run.took) {
        true => Ok(()),
        false => Err(format!("took {:?}, expected {expected:?}", run.took)),
    })
}

/// The calls took this time, within the ticks of the paused clock.
pub(crate) fn waited(expected: Duration) -> Check {
    took(expected..=expected + Duration::from_millis(10))
}

/// The first error has this `Retry-After`.
pub(crate) fn retry_after(expected: Duration) -> Check {
    check(move |run| equal("retry_after", run.error()?.retry_after(), Some(expected)))
}

pub(crate) fn attempts(expected: u32) -> Check {
    check(move |run| equal("attempts", run.error()?.attempts(), expected))
}

pub(crate) fn connections(expected: u32) -> Check {
    check(move |run| {
        let actual = run.seen.connections.load(Ordering::SeqCst);
        equal("connections", actual, expected)
    })
}

/// The first error is a timeout, or is not.
pub(crate) fn timed_out(expected: bool) -> Check {
    check(move |run| equal("is_timeout", run.error()?.is_timeout(), expected))
}

/// The client took at most this many bytes of a flood, over all connections.
pub(crate) fn flood_at_most(expected: usize) -> Check {
    check(move |run| match run.seen.flooded.load(Ordering::SeqCst) {
        bytes if bytes <= expected => Ok(()),
        bytes => Err(format!("{bytes} bytes were taken")),
    })
}

/// At least this many errors have the flag for an exhausted retry budget.
pub(crate) fn out_of_budget(expected: usize) -> Check {
    check(move |run| {
        let flagged = run
            .errors()
            .filter(|error| error.is_out_of_budget())
            .count();
        match flagged >= expected {
            true => Ok(()),
            false => Err(format!("only {flagged} are flagged")),
        }
    })
}

/// Each token has this value in this field of its JSON, or no such field.
pub(crate) fn field(name: &'static str, expected: Option<&'static str>) -> Check {
    check(move |run| {
        run.results.iter().flatten().try_for_each(|token| {
            let json: serde_json::Value = serde_json::from_slice(&token.expose_json()).unwrap();
            equal(name, json[name].as_str(), expected)
        })
    })
}

/// No two calls have the same sequence of backoffs.
pub(crate) fn backoffs_differ(backoffs: usize) -> Check {
    check(move |run| {
        let mut calls = BTreeMap::<_, Vec<_>>::new();
        for (call, at) in run.log.attempts.lock().unwrap().iter() {
            calls.entry(*call).or_default().push(*at);
        }
        let mut sequences: Vec<Vec<_>> = calls
            .into_values()
            .map(|at| at.windows(2).map(|pair| pair[1] - pair[0]).collect())
            .collect();
        let count = sequences.len();
        let full = sequences.iter().all(|sequence| sequence.len() == backoffs);
        sequences.sort();
        sequences.dedup();
        match full && sequences.len() == run.results.len() {
            true => Ok(()),
            false => Err(format!("{} of {count} sequences differ", sequences.len())),
        }
    })
}

/// The heads of all HTTP/1.1 requests, in lower case, fulfil a condition.
pub(crate) fn heads(what: &'static str, fits: fn(&str) -> bool) -> Check {
    check(move |run| {
        let heads = run.seen.heads.lock().unwrap();
        let mut lower = heads.iter().map(|head| head.to_ascii_lowercase());
        match lower.find(|head| !fits(head)) {
            None if heads.is_empty() => Err("no head was received".into()),
            None => Ok(()),
            // The head is not shown, because it contains the key.
            Some(_) => Err(format!("a head is not {what}")),
        }
    })
}
