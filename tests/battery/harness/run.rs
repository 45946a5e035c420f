//! What came of a row, and what holds for every one.

use std::{
    error::Error as StdError,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clerk_actor_tokens::{ActorToken, Error, Outcome};

use super::{
    script::{Op, Seen},
    settling::{Log, settled},
};
use crate::search::form_in;

/// How a call must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Token,
    Failure(Outcome),
    /// However it ends, as long as the peer saw no more requests than a safe client sends, and no
    /// more than are wanted, zero being no bound.
    Safe,
}

pub(crate) const OK: End = End::Token;
pub(crate) const NS: End = End::Failure(Outcome::NotSent);
pub(crate) const RJ: End = End::Failure(Outcome::Rejected);
pub(crate) const UN: End = End::Failure(Outcome::Unknown);
pub(crate) const AP: End = End::Failure(Outcome::Applied);

/// How a call must end, and how many whole requests the peer must have seen.
pub(crate) type Want = (End, u32);

/// What came of a row for one operation.
pub(crate) struct Run {
    pub(crate) op: Op,
    pub(crate) results: Vec<Result<ActorToken, Error>>,
    pub(crate) took: Duration,
    /// The longest that it may have taken.
    pub(crate) deadline: Duration,
    pub(crate) seen: Arc<Seen>,
    pub(crate) log: Arc<Log>,
}

impl Run {
    /// The first call's error.
    pub(crate) fn error(&self) -> Result<&Error, String> {
        self.errors().next().ok_or_else(|| "no error".into())
    }

    pub(crate) fn errors(&self) -> impl Iterator<Item = &Error> {
        self.results
            .iter()
            .filter_map(|result| result.as_ref().err())
    }

    /// Compares what came with what was wanted, and with what holds for every row.
    pub(crate) fn judge(&self, want: Want) -> Result<(), String> {
        let requests = self.seen.requests.load(Ordering::SeqCst);
        for result in &self.results {
            reads_well(result)?;
            judge(self.op, want, result, requests)?;
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
    (end, requests): Want,
    result: &Result<ActorToken, Error>,
    seen: u32,
) -> Result<(), String> {
    let came = match result {
        Ok(_) => End::Token,
        Err(error) => End::Failure(error.outcome()),
    };
    if end == End::Safe {
        // A create that is not refused is sent once at most; what was seen whole was sent.
        let unsafe_end = op == Op::Create && seen > 1
            || came == NS && seen > 0
            || requests > 0 && seen > requests;
        return if unsafe_end {
            Err(format!("{came:?} after {seen} requests"))
        } else {
            Ok(())
        };
    }
    if came != end || seen != requests {
        let shown = result
            .as_ref()
            .map_or_else(|error| format!("{error:?}"), |_| "Ok".into());
        return Err(format!(
            "wanted {end:?} after {requests} requests, got {came:?} after {seen}: {shown}"
        ));
    }
    Ok(())
}

/// No secret shows, and nothing that a terminal would obey.
fn reads_well(result: &Result<ActorToken, Error>) -> Result<(), String> {
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
