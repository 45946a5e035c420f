//! Events and metrics. No id of a user, key or credential may be passed here.

use std::time::Duration;

use tracing::Level;

/// The target of all events.
const TARGET: &str = "clerk_actor_tokens_postgres";

/// Logs that this process goes on as a new instance, because the connection of the one before was lost.
pub(crate) fn reconnected(instance: &str) {
    tracing::event!(
        target: TARGET,
        Level::WARN,
        postgres.instance = instance,
        "reconnected to PostgreSQL as a new instance"
    );
    meter::reconnected();
}

/// Logs and measures entries that were written, or could not be. No entry at all is a beat or a probe.
pub(crate) fn appended(entries: usize, is_ok: bool, time: Duration) {
    let result = if is_ok { "ok" } else { "error" };
    tracing::event!(
        target: TARGET,
        Level::TRACE,
        postgres.entries = entries,
        postgres.result = result,
        "entries written"
    );
    meter::appended(entries, result, time);
}

/// Logs and counts a sweep that found an instance, and ended open calls of it.
pub(crate) fn swept(calls: usize, is_inherited: bool) {
    tracing::event!(
        target: TARGET,
        Level::WARN,
        postgres.calls = calls,
        postgres.is_inherited = is_inherited,
        "ended calls of an instance that had stopped without notice"
    );
    meter::swept(calls, is_inherited);
}

/// Logs that a task of `maintain` failed.
pub(crate) fn not_maintained(error: &(dyn std::error::Error + 'static)) {
    tracing::event!(target: TARGET, Level::ERROR, error, "could not maintain the audit");
}

#[cfg(feature = "metrics")]
pub use self::meter::describe_metrics;

#[cfg(feature = "metrics")]
mod meter {
    use std::time::Duration;

    use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

    const APPEND: &str = "clerk.actor_tokens.postgres.append";
    const BATCH: &str = "clerk.actor_tokens.postgres.batch";
    const BEAT: &str = "clerk.actor_tokens.postgres.beat";
    const RECONNECTED: &str = "clerk.actor_tokens.postgres.reconnected";
    const SWEPT_CALLS: &str = "clerk.actor_tokens.postgres.swept_calls";
    const INHERITED: &str = "clerk.actor_tokens.postgres.inherited";

    /// Describes all metrics of this crate to the recorder. Call it once, after the recorder is installed.
    ///
    /// | metric | kind, unit | labels |
    /// |---|---|---|
    /// | `clerk.actor_tokens.postgres.append` | histogram, seconds | `result`: `ok`, `error` |
    /// | `clerk.actor_tokens.postgres.batch` | histogram | |
    /// | `clerk.actor_tokens.postgres.beat` | histogram, seconds | `result`: `ok`, `error` |
    /// | `clerk.actor_tokens.postgres.reconnected` | counter | |
    /// | `clerk.actor_tokens.postgres.swept_calls` | counter | |
    /// | `clerk.actor_tokens.postgres.inherited` | counter | |
    ///
    /// No label has an unlimited number of values, such as ids.
    pub fn describe_metrics() {
        describe_histogram!(APPEND, Unit::Seconds, "Transactions that write entries");
        describe_histogram!(BATCH, Unit::Count, "Entries of a transaction");
        describe_histogram!(BEAT, Unit::Seconds, "Beats and probes of the writer");
        describe_counter!(
            RECONNECTED,
            Unit::Count,
            "Connections that were lost, so that the process goes on as a new instance"
        );
        describe_counter!(
            SWEPT_CALLS,
            Unit::Count,
            "Calls of stopped instances that this one has ended"
        );
        describe_counter!(
            INHERITED,
            Unit::Count,
            "Stopped instances that this one has inherited"
        );
    }

    pub(super) fn appended(entries: usize, result: &'static str, time: Duration) {
        if entries == 0 {
            histogram!(BEAT, "result" => result).record(time);
            return;
        }
        histogram!(APPEND, "result" => result).record(time);
        histogram!(BATCH).record(f64::from(u32::try_from(entries).unwrap_or(u32::MAX)));
    }

    pub(super) fn reconnected() {
        counter!(RECONNECTED).increment(1);
    }

    pub(super) fn swept(calls: usize, is_inherited: bool) {
        counter!(SWEPT_CALLS).increment(calls as u64);
        counter!(INHERITED).increment(u64::from(is_inherited));
    }
}

#[cfg(not(feature = "metrics"))]
mod meter {
    use std::time::Duration;

    pub(super) fn appended(_: usize, _: &'static str, _: Duration) {}

    pub(super) fn reconnected() {}

    pub(super) fn swept(_: usize, _: bool) {}
}
