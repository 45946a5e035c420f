//! Measures calls and attempts by the facade of the crate `metrics`.

use std::fmt;

use http::StatusCode;
use metrics::{Gauge, Label, SharedString, Unit, counter, gauge, histogram};
use tokio::time::Instant;

use super::{ErrorType, METHOD, operation, url_template};
use crate::{OperationKind, settle_end::SettleEnd};

/// Whether anything is measured at all.
pub(crate) const METERED: bool = true;

const DURATION: &str = "http.client.request.duration";
const CALLS: &str = "clerk.actor_tokens.calls";
const CALLS_IN_FLIGHT: &str = "clerk.actor_tokens.calls_in_flight";
const ATTEMPTS: &str = "clerk.actor_tokens.attempts";
const RETRIES: &str = "clerk.actor_tokens.retries";
const RETRY_BUDGET: &str = "clerk.actor_tokens.retry_budget";
const SETTLED: &str = "clerk.actor_tokens.settled";
const ORPHANS_POSSIBLE: &str = "clerk.actor_tokens.orphans_possible";

/// Describes all metrics to the recorder: names, units, meaning. Call it once, after the recorder
/// was installed.
///
/// | metric | kind, unit | labels |
/// |---|---|---|
/// | `http.client.request.duration` | histogram, seconds | `http.request.method`, `url.template`, `server.address`, `server.port`, `http.response.status_code`, `error.type` |
/// | `clerk.actor_tokens.calls` | counter | `operation`, `outcome`, `error.type` |
/// | `clerk.actor_tokens.calls_in_flight` | gauge | `operation` |
/// | `clerk.actor_tokens.attempts` | counter | `operation`, `outcome` |
/// | `clerk.actor_tokens.retries` | counter | `operation`, `reason` |
/// | `clerk.actor_tokens.retry_budget` | gauge, retries | |
/// | `clerk.actor_tokens.settled` | counter | `end`: `revoked`, `accepted`, `not_revoked`, `unknown`, `foreign` |
/// | `clerk.actor_tokens.orphans_possible` | counter | |
///
/// A duration is that of one attempt, head and body, as the OpenTelemetry convention of the same
/// name wants it; its server is one that the client was configured with. `outcome` is `ok`,
/// `not_sent`, `rejected`, `unknown`, `applied`, or, for an attempt that was given up, `cut`.
/// `error.type` and `reason` are a status, or a word like `timeout`, `connect` or `cancelled`. No
/// label holds an id, or anything else that grows with the number of calls.
///
/// The budget is that of the [`RetryLayer`](crate::layer::RetryLayer) that used it last: with
/// several clients in one process, their values take turns.
pub fn describe_metrics() {
    metrics::describe_histogram!(
        DURATION,
        Unit::Seconds,
        "How long attempts took, head and body"
    );
    metrics::describe_counter!(CALLS, Unit::Count, "Calls that have ended");
    metrics::describe_gauge!(CALLS_IN_FLIGHT, Unit::Count, "Calls that have not ended");
    metrics::describe_counter!(ATTEMPTS, Unit::Count, "Attempts that have ended");
    metrics::describe_counter!(
        RETRIES,
        Unit::Count,
        "Attempts that follow a failed one, by why it failed"
    );
    metrics::describe_gauge!(
        RETRY_BUDGET,
        Unit::Count,
        "Retries that the shared budget allows"
    );
    metrics::describe_counter!(
        SETTLED,
        Unit::Count,
        "Credentials that nobody read, by what became of them"
    );
    metrics::describe_counter!(
        ORPHANS_POSSIBLE,
        Unit::Count,
        "Credentials that may live although nobody holds them"
    );
    // From zero on, so that the first one is an increase like any other.
    for end in SettleEnd::ALL {
        counter!(SETTLED, "end" => end.as_str()).increment(0);
    }
    counter!(ORPHANS_POSSIBLE).increment(0);
}

/// Counts a call, which is in flight until this is dropped.
pub(crate) struct CallMeter {
    kind: OperationKind,
    // Kept, so that what goes down is what went up, whichever recorder is installed by then.
    in_flight: Gauge,
}

impl CallMeter {
    pub(crate) fn begin(kind: OperationKind) -> Self {
        let in_flight = gauge!(CALLS_IN_FLIGHT, "operation" => operation(kind));
        in_flight.increment(1.0);
        Self { kind, in_flight }
    }

    pub(crate) fn end(&self, outcome: &'static str, error_type: Option<ErrorType>) {
        let mut labels = vec![
            Label::from_static_parts("operation", operation(self.kind)),
            Label::from_static_parts("outcome", outcome),
        ];
        labels.extend(error_type.map(|it| Label::new("error.type", text(it))));
        counter!(CALLS, labels).increment(1);
    }
}

impl Drop for CallMeter {
    fn drop(&mut self) {
        self.in_flight.decrement(1.0);
    }
}

impl fmt::Debug for CallMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMeter").finish_non_exhaustive()
    }
}

/// Counts an attempt and takes its time.
#[derive(Debug)]
pub(crate) struct AttemptMeter {
    kind: OperationKind,
    server: Option<(String, u16)>,
    begun: Instant,
}

impl AttemptMeter {
    pub(crate) fn begin(
        kind: OperationKind,
        server: impl FnOnce() -> Option<(String, u16)>,
    ) -> Self {
        Self {
            kind,
            server: server(),
            begun: Instant::now(),
        }
    }

    pub(crate) fn end(
        &self,
        outcome: &'static str,
        status: Option<StatusCode>,
        error_type: Option<ErrorType>,
    ) {
        let operation = operation(self.kind);
        counter!(ATTEMPTS, "operation" => operation, "outcome" => outcome).increment(1);
        let mut labels = vec![
            Label::from_static_parts("http.request.method", METHOD),
            Label::from_static_parts("url.template", url_template(self.kind)),
        ];
        let status = status.map(|status| text(ErrorType::Status(status)));
        if let Some((address, port)) = self.server.clone() {
            labels.push(Label::new("server.address", address));
            labels.push(Label::new("server.port", port.to_string()));
        }
        labels.extend(status.map(|it| Label::new("http.response.status_code", it)));
        labels.extend(error_type.map(|it| Label::new("error.type", text(it))));
        histogram!(DURATION, labels).record(self.begun.elapsed());
    }
}

pub(crate) fn retry(kind: OperationKind, reason: ErrorType) {
    counter!(RETRIES, "operation" => operation(kind), "reason" => text(reason)).increment(1);
}

pub(crate) fn retry_budget_left(retries: impl FnOnce() -> f64) {
    gauge!(RETRY_BUDGET).set(retries());
}

pub(crate) fn settled(end: SettleEnd) {
    counter!(SETTLED, "end" => end.as_str()).increment(1);
    if !end.is_safe() {
        counter!(ORPHANS_POSSIBLE).increment(1);
    }
}

fn text(error_type: ErrorType) -> SharedString {
    match error_type {
        ErrorType::Status(status) => SharedString::from(status.as_str().to_owned()),
        ErrorType::Word(word) => SharedString::const_str(word),
    }
}
