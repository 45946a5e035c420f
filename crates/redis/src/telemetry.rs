//! Events and metrics. No id of a user, key or credential may be passed here.

use std::time::Duration;

use clerk_actor_tokens::OperationKind;
use tracing::Level;

/// The target of all events.
const TARGET: &str = "clerk_actor_tokens_redis";

/// A command, by its purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Connect,
    Ping,
    Take,
    GiveBack,
    Pass,
    Close,
    Read,
}

impl Command {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Ping => "ping",
            Self::Take => "take",
            Self::GiveBack => "give_back",
            Self::Pass => "pass",
            Self::Close => "close",
            Self::Read => "read",
        }
    }
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Timeout,
    ConnectionLost,
    Error,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection_lost",
            Self::Error => "error",
        }
    }
}

/// Logs and measures a command.
pub(crate) fn command(command: Command, failure: Option<Cause>, time: Duration) {
    let result = failure.map_or("ok", Cause::as_str);
    tracing::event!(
        target: TARGET,
        Level::TRACE,
        redis.command = command.as_str(),
        redis.result = result,
        "a command ended"
    );
    meter::command(command, result, time);
}

/// Logs that decisions are shared from now on.
pub(crate) fn connected() {
    tracing::event!(target: TARGET, Level::INFO, "Redis is available, limits are shared");
    meter::available(true);
}

/// Logs and counts that decisions are not shared any more.
pub(crate) fn disconnected(cause: Cause) {
    tracing::event!(
        target: TARGET,
        Level::WARN,
        redis.cause = cause.as_str(),
        "Redis is not available, limits are local"
    );
    meter::available(false);
    meter::disconnected(cause);
}

/// Logs an attempt to connect that failed. Only the first one of a process is a warning of its own.
pub(crate) fn not_connected(code: &str, is_first: bool) {
    if is_first {
        tracing::event!(target: TARGET, Level::WARN, redis.error = code, "could not connect to Redis, limits are local");
        meter::available(false);
    } else {
        tracing::event!(target: TARGET, Level::DEBUG, redis.error = code, "could not connect to Redis");
    }
}

/// Logs and counts a decision that this process made without Redis.
pub(crate) fn local(layer: &'static str, decision: &'static str) {
    tracing::event!(
        target: TARGET,
        Level::DEBUG,
        clerk.policy.layer = layer,
        clerk.policy.decision = decision,
        "decided without Redis"
    );
    meter::local(layer, decision);
}

/// Logs and counts units that could not be given back.
pub(crate) fn not_given_back() {
    tracing::event!(target: TARGET, Level::DEBUG, "could not give back the units of the rate limits");
    meter::not_given_back();
}

/// Logs and counts that a gate closed: here, or in another process.
pub(crate) fn gate_closed(kind: OperationKind, source: &'static str, level: u32, left: Duration) {
    tracing::event!(
        target: TARGET,
        Level::INFO,
        clerk.operation = kind.as_str(),
        gate.source = source,
        gate.level = level,
        left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        "the gate closes"
    );
    meter::gate_closed(kind, source);
    meter::gate_level(kind, level);
}

/// Measures that a gate is open again.
pub(crate) fn gate_opened(kind: OperationKind) {
    meter::gate_level(kind, 0);
}

#[cfg(feature = "metrics")]
pub use self::meter::describe_metrics;

#[cfg(feature = "metrics")]
mod meter {
    use std::time::Duration;

    use clerk_actor_tokens::OperationKind;
    use metrics::{
        Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    };

    use super::{Cause, Command};

    const COMMANDS: &str = "clerk.actor_tokens.redis.command";
    const AVAILABLE: &str = "clerk.actor_tokens.redis.available";
    const DISCONNECTED: &str = "clerk.actor_tokens.redis.disconnected";
    const LOCAL: &str = "clerk.actor_tokens.redis.local_decisions";
    const NOT_GIVEN_BACK: &str = "clerk.actor_tokens.redis.not_given_back";
    const GATE_EPOCHS: &str = "clerk.actor_tokens.redis.gate_epochs";
    const GATE_LEVEL: &str = "clerk.actor_tokens.redis.gate_level";

    /// Describes all metrics of this crate to the recorder. Call it once, after the recorder is installed.
    ///
    /// | metric | kind, unit | labels |
    /// |---|---|---|
    /// | `clerk.actor_tokens.redis.command` | histogram, seconds | `command`: `connect`, `ping`, `take`, `give_back`, `pass`, `close`, `read`; `result`: `ok`, `timeout`, `connection_lost`, `error` |
    /// | `clerk.actor_tokens.redis.available` | gauge, 0 or 1 | |
    /// | `clerk.actor_tokens.redis.disconnected` | counter | `cause`: `timeout`, `connection_lost`, `error` |
    /// | `clerk.actor_tokens.redis.local_decisions` | counter | `layer`: `rate_limit`, `gate`; `decision`: `passed`, `waits`, `refused` |
    /// | `clerk.actor_tokens.redis.not_given_back` | counter | |
    /// | `clerk.actor_tokens.redis.gate_epochs` | counter | `operation`; `source`: `here`, `elsewhere` |
    /// | `clerk.actor_tokens.redis.gate_level` | gauge | `operation` |
    ///
    /// No label has an unlimited number of values, such as ids.
    pub fn describe_metrics() {
        describe_histogram!(COMMANDS, Unit::Seconds, "Commands of Redis");
        describe_gauge!(AVAILABLE, "Whether limits are shared over Redis");
        describe_counter!(
            DISCONNECTED,
            Unit::Count,
            "Connections of Redis that were closed after failures"
        );
        describe_counter!(LOCAL, Unit::Count, "Decisions without Redis");
        describe_counter!(
            NOT_GIVEN_BACK,
            Unit::Count,
            "Units of rate limits that could not be given back"
        );
        describe_counter!(GATE_EPOCHS, Unit::Count, "Times that a gate closed");
        describe_gauge!(
            GATE_LEVEL,
            "How many times the step of the gate's slots has doubled, plus one; 0 if it is open"
        );
    }

    pub(super) fn command(command: Command, result: &'static str, time: Duration) {
        histogram!(COMMANDS, "command" => command.as_str(), "result" => result).record(time);
    }

    pub(super) fn available(is_available: bool) {
        gauge!(AVAILABLE).set(f64::from(u8::from(is_available)));
    }

    pub(super) fn disconnected(cause: Cause) {
        counter!(DISCONNECTED, "cause" => cause.as_str()).increment(1);
    }

    pub(super) fn local(layer: &'static str, decision: &'static str) {
        counter!(LOCAL, "layer" => layer, "decision" => decision).increment(1);
    }

    pub(super) fn not_given_back() {
        counter!(NOT_GIVEN_BACK).increment(1);
    }

    pub(super) fn gate_closed(kind: OperationKind, source: &'static str) {
        counter!(GATE_EPOCHS, "operation" => kind.as_str(), "source" => source).increment(1);
    }

    pub(super) fn gate_level(kind: OperationKind, level: u32) {
        gauge!(GATE_LEVEL, "operation" => kind.as_str()).set(f64::from(level));
    }
}

#[cfg(not(feature = "metrics"))]
mod meter {
    use std::time::Duration;

    use clerk_actor_tokens::OperationKind;

    use super::{Cause, Command};

    pub(super) fn command(_: Command, _: &'static str, _: Duration) {}

    pub(super) fn available(_: bool) {}

    pub(super) fn disconnected(_: Cause) {}

    pub(super) fn local(_: &'static str, _: &'static str) {}

    pub(super) fn not_given_back() {}

    pub(super) fn gate_closed(_: OperationKind, _: &'static str) {}

    pub(super) fn gate_level(_: OperationKind, _: u32) {}
}
