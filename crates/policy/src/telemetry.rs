//! Events and metrics of the layers. No id of a user, reason or credential may be passed here.

use std::time::Duration;

use clerk_actor_tokens::{ActorTokenRequest, OperationKind};
use tracing::Level;

use crate::CallId;

/// The target of all events.
pub(crate) const TARGET: &str = "clerk_actor_tokens_policy";

/// The layer that decides about a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Attribution,
    Authorize,
    RateLimit,
    Gate,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Attribution => "attribution",
            Self::Authorize => "authorize",
            Self::RateLimit => "rate_limit",
            Self::Gate => "gate",
        }
    }
}

/// The facts of a call that its events show.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    kind: OperationKind,
    call: Option<CallId>,
}

impl Facts {
    pub(crate) fn of(request: &ActorTokenRequest) -> Self {
        Self {
            kind: request.operation().kind(),
            call: CallId::of(request.extensions()),
        }
    }
}

/// Logs and counts a call that is refused by `rule`, of which there is a bounded number.
pub(crate) fn refused(stage: Stage, rule: &'static str, call: Facts) {
    tracing::event!(
        target: TARGET,
        Level::INFO,
        clerk.operation = call.kind.as_str(),
        clerk.policy.layer = stage.as_str(),
        clerk.policy.rule = rule,
        clerk.policy.call = call.call.map(tracing::field::display),
        "the call was refused"
    );
    meter::decision(stage, "refused", rule);
}

/// Counts a call that passes.
pub(crate) fn passed(stage: Stage) {
    meter::decision(stage, "passed", "");
}

/// Logs and counts units of a rate limit that are given back.
pub(crate) fn given_back() {
    tracing::event!(target: TARGET, Level::DEBUG, "nothing was sent, the units of the rate limits are given back");
    meter::decision(Stage::RateLimit, "given_back", "");
}

/// Logs and counts an attempt that the gate refuses.
pub(crate) fn attempt_refused(
    kind: OperationKind,
    rule: &'static str,
    retry_after: Option<Duration>,
) {
    tracing::event!(
        target: TARGET,
        Level::INFO,
        clerk.operation = kind.as_str(),
        clerk.policy.layer = Stage::Gate.as_str(),
        clerk.policy.rule = rule,
        retry_after_ms = retry_after.map(milliseconds),
        "the attempt was refused"
    );
    meter::decision(Stage::Gate, "refused", rule);
}

/// Logs and counts an attempt that waits at the gate.
pub(crate) fn attempt_waits(kind: OperationKind, wait: Duration) {
    tracing::event!(
        target: TARGET,
        Level::DEBUG,
        clerk.operation = kind.as_str(),
        wait_ms = milliseconds(wait),
        "the gate is closed, the attempt waits"
    );
    meter::waited(kind, wait);
}

/// Logs and counts that a 429 closes the gate.
pub(crate) fn gate_closed(kind: OperationKind, retry_after: Option<Duration>) {
    tracing::event!(
        target: TARGET,
        Level::INFO,
        clerk.operation = kind.as_str(),
        retry_after_ms = retry_after.map(milliseconds),
        "rate limited, the gate closes"
    );
    meter::closed(kind);
}

/// Shows the level of a gate: zero while it is open.
pub(crate) fn gate_level(account: &str, kind: OperationKind, level: u32) {
    meter::level(account, kind, level);
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(feature = "metrics")]
pub(crate) mod meter {
    use std::time::Duration;

    use clerk_actor_tokens::OperationKind;
    use metrics::{
        Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    };

    use super::Stage;

    const DECISIONS: &str = "clerk.actor_tokens.policy.decisions";
    const GATE_WAIT: &str = "clerk.actor_tokens.policy.gate_wait";
    const GATE_CLOSED: &str = "clerk.actor_tokens.policy.gate_closed";
    const GATE_LEVEL: &str = "clerk.actor_tokens.policy.gate_level";

    pub(crate) fn describe() {
        describe_counter!(DECISIONS, Unit::Count, "Decisions of the policy layers");
        describe_histogram!(GATE_WAIT, Unit::Seconds, "Waits for a slot of the gate");
        describe_counter!(GATE_CLOSED, Unit::Count, "Rate limits that closed the gate");
        describe_gauge!(
            GATE_LEVEL,
            Unit::Count,
            "Level of the gate, 0 while it is open"
        );
    }

    pub(super) fn decision(stage: Stage, decision: &'static str, rule: &'static str) {
        let labels = [("layer", stage.as_str()), ("decision", decision)];
        let rule = (!rule.is_empty()).then_some(("rule", rule));
        let labels: Vec<_> = labels.into_iter().chain(rule).collect();
        counter!(DECISIONS, &labels).increment(1);
    }

    pub(super) fn waited(kind: OperationKind, wait: Duration) {
        histogram!(GATE_WAIT, "operation" => kind.as_str()).record(wait);
    }

    pub(super) fn closed(kind: OperationKind) {
        counter!(GATE_CLOSED, "operation" => kind.as_str()).increment(1);
    }

    pub(super) fn level(account: &str, kind: OperationKind, level: u32) {
        gauge!(GATE_LEVEL, "account" => account.to_owned(), "operation" => kind.as_str())
            .set(level);
    }
}

#[cfg(not(feature = "metrics"))]
mod meter {
    use std::time::Duration;

    use clerk_actor_tokens::OperationKind;

    use super::Stage;

    pub(super) fn decision(_: Stage, _: &'static str, _: &'static str) {}

    pub(super) fn waited(_: OperationKind, _: Duration) {}

    pub(super) fn closed(_: OperationKind) {}

    pub(super) fn level(_: &str, _: OperationKind, _: u32) {}
}
