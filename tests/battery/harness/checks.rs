//! What a row may want besides its end.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clerk_actor_tokens::{ActorTokenId, Error, Outcome};

use super::run::Run;

/// A further want of a row.
pub(crate) type Check = Arc<dyn Fn(&Run) -> Result<(), String> + Send + Sync>;

pub(crate) fn check(check: impl Fn(&Run) -> Result<(), String> + Send + Sync + 'static) -> Check {
    Arc::new(check)
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, came: T, wanted: T) -> Result<(), String> {
    if came == wanted {
        Ok(())
    } else {
        Err(format!("{what}: wanted {wanted:?}, got {came:?}"))
    }
}

/// Every failure has this status.
pub(crate) fn status(wanted: u16) -> Check {
    check(move |run| {
        run.errors().try_for_each(|error| {
            let came = error.status().map(|status| status.as_u16());
            equal("status", came, Some(wanted))
        })
    })
}

/// The error has this code, or none.
pub(crate) fn code(wanted: Option<&'static str>) -> Check {
    check(move |run| equal("code", run.error()?.code(), wanted))
}

pub(crate) fn trace_id(wanted: &'static str) -> Check {
    check(move |run| equal("trace id", run.error()?.trace_id(), Some(wanted)))
}

/// A failure that left a token behind tells the id of it, if it can.
pub(crate) fn salvaged(wanted: Option<&'static str>) -> Check {
    check(move |run| {
        let applied = run
            .errors()
            .filter(|error| error.outcome() == Outcome::Applied);
        applied
            .map(Error::actor_token_id)
            .try_for_each(|id| equal("salvaged", id.map(ActorTokenId::as_str), wanted))
    })
}

pub(crate) fn took(wanted: RangeInclusive<Duration>) -> Check {
    check(move |run| match wanted.contains(&run.took) {
        true => Ok(()),
        false => Err(format!("wanted it to take {wanted:?}, took {:?}", run.took)),
    })
}

/// It took so long, within the ticks of the paused clock.
pub(crate) fn waited(wanted: Duration) -> Check {
    took(wanted..=wanted + Duration::from_millis(10))
}

/// The error says how long the API asked to wait.
pub(crate) fn told_to_wait(wanted: Duration) -> Check {
    check(move |run| equal("retry_after", run.error()?.retry_after(), Some(wanted)))
}

pub(crate) fn attempts(wanted: u32) -> Check {
    check(move |run| equal("attempts", run.error()?.attempts(), wanted))
}

pub(crate) fn connections(wanted: u32) -> Check {
    check(move |run| {
        let came = run.seen.connections.load(Ordering::SeqCst);
        equal("connections", came, wanted)
    })
}

/// Whether it was time that ran out.
pub(crate) fn timed_out(wanted: bool) -> Check {
    check(move |run| equal("is_timeout", run.error()?.is_timeout(), wanted))
}

/// Of what the peer poured out no more than this was taken, over all connections.
pub(crate) fn flooded(wanted: usize) -> Check {
    check(move |run| match run.seen.flooded.load(Ordering::SeqCst) {
        bytes if bytes <= wanted => Ok(()),
        bytes => Err(format!("{bytes} bytes were taken")),
    })
}

/// At least so many failures say that the budget of retries is used up.
pub(crate) fn out_of_budget(wanted: usize) -> Check {
    check(move |run| {
        let flagged = run
            .errors()
            .filter(|error| error.is_out_of_budget())
            .count();
        match flagged >= wanted {
            true => Ok(()),
            false => Err(format!("only {flagged} are flagged")),
        }
    })
}

/// A token has this value in this field of its JSON, or lacks the field.
pub(crate) fn field(name: &'static str, wanted: Option<&'static str>) -> Check {
    check(move |run| {
        run.results.iter().flatten().try_for_each(|token| {
            let json: serde_json::Value = serde_json::from_slice(&token.expose_json()).unwrap();
            equal(name, json[name].as_str(), wanted)
        })
    })
}

/// The pauses of every call differ from those of every other.
pub(crate) fn no_two_pause_alike(pauses: usize) -> Check {
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
        let full = sequences.iter().all(|sequence| sequence.len() == pauses);
        sequences.sort();
        sequences.dedup();
        match full && sequences.len() == run.results.len() {
            true => Ok(()),
            false => Err(format!("{} of {count} sequences differ", sequences.len())),
        }
    })
}

/// What the heads of all requests, in lower case, must be like; told for HTTP/1.1 only.
pub(crate) fn heads(what: &'static str, fits: fn(&str) -> bool) -> Check {
    check(move |run| {
        let heads = run.seen.heads.lock().unwrap();
        let mut lower = heads.iter().map(|head| head.to_ascii_lowercase());
        match lower.find(|head| !fits(head)) {
            None if heads.is_empty() => Err("no head was seen".into()),
            None => Ok(()),
            // The head has the key in it.
            Some(_) => Err(format!("a head is not {what}")),
        }
    })
}
