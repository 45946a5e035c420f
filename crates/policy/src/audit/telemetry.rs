//! Events and metrics of the audit. They name calls, and no user, actor or token.

use clerk_actor_tokens::BoxError;
use tokio::time::Instant;
use tracing::Level;

use super::SinkUnavailable;
use crate::{CallId, telemetry::TARGET};

/// A write that a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Begin,
    Sending,
    End,
    Replay,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Sending => "sending",
            Self::End => "end",
            Self::Replay => "replay",
        }
    }
}

/// Measures a write, if the latency is logged or measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Option<Instant>);

impl Stopwatch {
    pub(super) fn start() -> Self {
        let is_on = cfg!(feature = "metrics") || tracing::enabled!(target: TARGET, Level::WARN);
        Self(is_on.then(Instant::now))
    }
}

/// Logs and measures a write of the sink.
pub(super) fn written(step: Step, stopwatch: Stopwatch, error: Option<&SinkUnavailable>) {
    let Stopwatch(Some(begun)) = stopwatch else {
        return;
    };
    let (step, latency) = (step.as_str(), begun.elapsed());
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::event!(
                target: TARGET,
                Level::$level,
                step,
                latency_us = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX),
                error = error.map(|error| error as &dyn std::error::Error),
                $message
            )
        };
    }
    match error {
        None => event!(DEBUG, "audit written"),
        Some(_) => event!(WARN, "could not write the audit"),
    }
    meter::written(step, latency, error.is_none());
}

/// Logs that creates are refused from now on, or are sent again.
pub(super) fn sink(is_up: bool) {
    if is_up {
        tracing::event!(target: TARGET, Level::INFO, "the audit is available again");
    } else {
        tracing::event!(target: TARGET, Level::ERROR, "the audit is unavailable, creates are refused");
    }
    meter::sink(is_up);
}

pub(super) fn refused(call: CallId) {
    tracing::event!(target: TARGET, Level::WARN, clerk.policy.call = %call, "a create was refused, because its audit could not be written");
    meter::refused();
}

/// Logs that a create failed because its end was not durable in time.
pub(super) fn withheld(call: CallId) {
    tracing::event!(target: TARGET, Level::ERROR, clerk.policy.call = %call, "a token was withheld, because the end of its call could not be written");
    meter::withheld();
}

pub(super) fn spooled(call: CallId, depth: usize) {
    tracing::event!(target: TARGET, Level::WARN, clerk.policy.call = %call, depth, "the audit of a call went to the spool");
    meter::spool_depth(depth);
}

pub(super) fn replayed(entries: usize, depth: usize) {
    if entries > 0 {
        tracing::event!(target: TARGET, Level::INFO, entries, depth, "the spool was replayed");
    }
    meter::spool_depth(depth);
}

/// Logs that a revoke passed without a record.
pub(super) fn unaudited(call: CallId, error: &SinkUnavailable) {
    let error = error as &dyn std::error::Error;
    tracing::event!(target: TARGET, Level::ERROR, clerk.policy.call = %call, error, "a revoke is not in the audit: the spool is unavailable, too");
    meter::unaudited();
}

pub(super) fn without_barrier(call: CallId) {
    tracing::event!(target: TARGET, Level::ERROR, clerk.policy.call = %call, "a call was sent without an AuditBarrierLayer");
}

pub(super) fn follow_up_dropped(call: CallId) {
    tracing::event!(target: TARGET, Level::WARN, clerk.policy.call = %call, "a follow-up of the audit was dropped, because too many wait");
    meter::follow_up_dropped();
}

/// Logs that a log cannot be written from now on, or can be written again.
pub(super) fn log(error: Option<&BoxError>) {
    match error {
        Some(error) => {
            tracing::event!(target: TARGET, Level::ERROR, %error, "could not write a log of the audit")
        }
        None => {
            tracing::event!(target: TARGET, Level::INFO, "a log of the audit can be written again")
        }
    }
}

#[cfg(feature = "metrics")]
pub(super) mod meter {
    use std::time::Duration;

    use metrics::Unit;
    use metrics::{
        counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    };

    const WRITE: &str = "clerk.actor_tokens.policy.audit_write";
    const UP: &str = "clerk.actor_tokens.policy.audit_up";
    const SPOOL: &str = "clerk.actor_tokens.policy.audit_spool_depth";
    const REFUSED: &str = "clerk.actor_tokens.policy.audit_refused";
    const WITHHELD: &str = "clerk.actor_tokens.policy.audit_withheld";
    const UNAUDITED: &str = "clerk.actor_tokens.policy.audit_unaudited";
    const DROPPED: &str = "clerk.actor_tokens.policy.audit_follow_ups_dropped";

    pub(crate) fn describe() {
        let count = Unit::Count;
        describe_histogram!(WRITE, Unit::Seconds, "Duration of a write of the audit");
        describe_gauge!(UP, count, "Whether the audit is available");
        describe_gauge!(SPOOL, count, "Entries in the spool");
        describe_counter!(REFUSED, count, "Creates refused without an audit");
        describe_counter!(WITHHELD, count, "Minted tokens withheld without an audit");
        describe_counter!(UNAUDITED, count, "Revokes sent without an audit");
        describe_counter!(DROPPED, count, "Follow-ups that were dropped");
        gauge!(UP).set(1.0);
        // So that the first event is an increase.
        for name in [REFUSED, WITHHELD, UNAUDITED, DROPPED] {
            counter!(name).increment(0);
        }
    }

    pub(super) fn written(step: &'static str, latency: Duration, is_ok: bool) {
        let result = if is_ok { "ok" } else { "error" };
        histogram!(WRITE, "step" => step, "result" => result).record(latency);
    }

    pub(super) fn sink(is_up: bool) {
        gauge!(UP).set(f64::from(u8::from(is_up)));
    }

    pub(super) fn spool_depth(depth: usize) {
        gauge!(SPOOL).set(u32::try_from(depth).unwrap_or(u32::MAX));
    }

    pub(super) fn refused() {
        counter!(REFUSED).increment(1);
    }

    pub(super) fn withheld() {
        counter!(WITHHELD).increment(1);
    }

    pub(super) fn unaudited() {
        counter!(UNAUDITED).increment(1);
    }

    pub(super) fn follow_up_dropped() {
        counter!(DROPPED).increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
mod meter {
    use std::time::Duration;

    pub(super) fn written(_: &'static str, _: Duration, _: bool) {}

    pub(super) fn sink(_: bool) {}

    pub(super) fn spool_depth(_: usize) {}

    pub(super) fn refused() {}

    pub(super) fn withheld() {}

    pub(super) fn unaudited() {}

    pub(super) fn follow_up_dropped() {}
}
