//! The result of a row, and the checks of every row.

use std::{
    error::Error as StdError,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clerk_actor_tokens::{ActorToken, Error, Outcome};

use super::{
    script::{Op, Seen},
    split::{Log, settled},
};
use crate::search::form_in;

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Token,
    Failure(Outcome),
    /// Any end, if the peer received at most the requests that a safe client sends. The expected number is
    /// another limit, unless it is zero.
    Safe,
}

pub(crate) const OK: End = End::Token;
pub(crate) const NS: End = End::Failure(Outcome::NotSent);
pub(crate) const RJ: End = End::Failure(Outcome::Rejected);
pub(crate) const UN: End = End::Failure(Outcome::Unknown);
pub(crate) const AP: End = End::Failure(Outcome::Applied);

/// The end of a call, and the number of complete requests that the peer received.
pub(crate) type Expected = (End, u32);

/// The result of a row for one operation.
pub(crate) struct Run {
    pub(crate) op: Op,
    pub(crate) results: Vec<Result<ActorToken, Error>>,
    pub(crate) took: Duration,
    /// The longest time that the calls may take.
    pub(crate) deadline: Duration,
    pub(crate) seen: Arc<Seen>,
    pub(crate) log: Arc<Log>,
}

impl Run {
    /// Returns the first error.
    pub(crate) fn error(&self) -> Result<&Error, String> {
        self.errors().next().ok_or_else(|| "no error".into())
    }

    pub(crate) fn errors(&self) -> impl Iterator<Item = &Error> {
        self.results
            .iter()
            .filter_map(|result| result.as_ref().err())
    }

    /// Checks the result against the expected one, and makes the checks of every row.
    pub(crate) fn judge(&self, expected: Expected) -> Result<(), String> {
        let requests = self.seen.requests.load(Ordering::SeqCst);
        for result in &self.results {
            shows_no_secret(result)?;
            judge(self.op, expected, result, requests)?;
        }
        settled(self.op, &self.results, &self.log)?;
        // A timer may be a tick late.
        let deadline = self.deadline.saturating_add(Duration::from_millis(10));
        if self.took > deadline {
            return Err(format!("took {:?}", self.took));
        }
        Ok(())
    }
}

fn judge(
    op: Op,
    (end, requests): Expected,
    result: &Result<ActorToken, Error>,
    seen: u32,
) -> Result<(), String> {
    let actual = match result {
        Ok(_) => End::Token,
        Err(error) => End::Failure(error.outcome()),
    };
    if end == End::Safe {
        // A safe client sends a create once, and does not report `NotSent` after a complete request.
        let unsafe_end = op == Op::Create && seen > 1
            || actual == NS && seen > 0
            || requests > 0 && seen > requests;
        return if unsafe_end {
            Err(format!("{actual:?} after {seen} requests"))
        } else {
            Ok(())
        };
    }
    if actual != end || seen != requests {
        let shown = result
            .as_ref()
            .map_or_else(|error| format!("{error:?}"), |_| "Ok".into());
        return Err(format!(
            "expected {end:?} after {requests} requests, got {actual:?} after {seen}: {shown}"
        ));
    }
    Ok(())
}

/// Checks that the texts of a result contain no secret and no control character.
fn shows_no_secret(result: &Result<ActorToken, Error>) -> Result<(), String> {
    let mut shown = match result {
        Ok(token) => vec![format!("{token:?} {token:#?}")],
        Err(error) => vec![format!("{error} {error:?} {error:#?}")],
    };
    let mut source = result.as_ref().err().and_then(StdError::source);
    while let Some(error) = source {
        shown.push(format!("{error} {error:?} {error:#?}"));
        source = error.source();
    }
    for text in shown {
        if let Some(form) = form_in(&text) {
            return Err(format!("a secret shows, {form}: {text}"));
        }
        if text.contains(|c: char| c.is_control() && c != '\n') {
            return Err(format!("a control character shows: {text:?}"));
        }
    }
    Ok(())
}
