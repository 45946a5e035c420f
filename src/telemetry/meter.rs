//! Measures calls and attempts with the crate `metrics`.

use std::borrow::Cow;

use http::StatusCode;
use metrics::{
    Gauge, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use tokio::time::Instant;

use super::names;
use crate::{OperationKind, settle_end::SettleEnd};

const DURATION: &str = "http.client.request.duration";
const CALLS: &str = "clerk.actor_tokens.calls";
const CALLS_IN_FLIGHT: &str = "clerk.actor_tokens.calls_in_flight";
const ATTEMPTS: &str = "clerk.actor_tokens.attempts";
const RETRIES: &str = "clerk.actor_tokens.retries";
const RETRY_BUDGET: &str = "clerk.actor_tokens.retry_budget";
const SETTLED: &str = "clerk.actor_tokens.settled";
const ORPHANS_POSSIBLE: &str = "clerk.actor_tokens.orphans_possible";

/// Describes all metrics to the recorder. Call it once, after the recorder is installed.
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
/// A duration is that of one attempt, head and body, as in OpenTelemetry's convention. `outcome` is `ok`,
/// `not_sent`, `rejected`, `unknown`, `applied`, or `cut` for a cancelled attempt. `error.type` and
/// `reason` are a status, or a word such as `timeout`, `connect` or `cancelled`. No label has an unlimited
/// number of values, such as ids.
///
/// The budget is that of the last [`RetryLayer`](crate::layer::RetryLayer) that used it: several clients
/// in a process overwrite each other's value.
pub fn describe_metrics() {
    let count = Unit::Count;
    describe_histogram!(DURATION, Unit::Seconds, "Duration of an attempt");
    describe_counter!(CALLS, count, "Calls that have ended");
    describe_gauge!(CALLS_IN_FLIGHT, count, "Calls in flight");
    describe_counter!(ATTEMPTS, count, "Attempts that have ended");
    describe_counter!(RETRIES, count, "Retries, by the previous failure");
    describe_gauge!(RETRY_BUDGET, count, "Retries left in the shared budget");
    describe_counter!(SETTLED, count, "Unreturned tokens, by their end");
    describe_counter!(ORPHANS_POSSIBLE, count, "Possibly live unreturned tokens");
    // So that the first event is an increase.
    for end in [
        SettleEnd::Revoked,
        SettleEnd::Accepted,
        SettleEnd::NotRevoked,
        SettleEnd::Unknown,
        SettleEnd::Foreign,
    ] {
        counter!(SETTLED, "end" => end.as_str()).increment(0);
    }
    counter!(ORPHANS_POSSIBLE).increment(0);
}

/// Counts a call or an attempt, and measures the duration of an attempt.
#[derive(Debug)]
pub(crate) struct Meter {
    kind: OperationKind,
    level: Level,
}

#[derive(Debug)]
enum Level {
    /// Kept, so that the same gauge is decremented under another recorder.
    Call { in_flight: Gauge },
    Attempt {
        server: Option<(String, u16)>,
        begun: Instant,
    },
}

impl Meter {
    pub(crate) fn call(kind: OperationKind) -> Self {
        let in_flight = gauge!(CALLS_IN_FLIGHT, "operation" => kind.as_str());
        in_flight.increment(1.0);
        let level = Level::Call { in_flight };
        Self { kind, level }
    }

    pub(crate) fn attempt(kind: OperationKind, server: Option<(&str, u16)>) -> Self {
        let level = Level::Attempt {
            server: server.map(|(host, port)| (host.to_owned(), port)),
            begun: Instant::now(),
        };
        Self { kind, level }
    }

    pub(crate) fn end(
        &self,
        outcome: &'static str,
        status: Option<StatusCode>,
        error_type: Option<Cow<'static, str>>,
    ) {
        let names = names(self.kind);
        let error_type = error_type.map(|error_type| Label::new("error.type", error_type));
        let mut count = vec![
            Label::from_static_parts("operation", self.kind.as_str()),
            Label::from_static_parts("outcome", outcome),
        ];
        match &self.level {
            Level::Call { .. } => {
                count.extend(error_type);
                counter!(CALLS, count).increment(1);
            }
            Level::Attempt { server, begun } => {
                counter!(ATTEMPTS, count).increment(1);
                let mut labels = vec![
                    Label::from_static_parts("http.request.method", names.method),
                    Label::from_static_parts("url.template", names.url_template),
                ];
                if let Some((address, port)) = server {
                    labels.push(Label::new("server.address", address.clone()));
                    labels.push(Label::new("server.port", port.to_string()));
                }
                let status = status.map(|status| status.as_str().to_owned());
                labels.extend(status.map(|status| Label::new("http.response.status_code", status)));
                labels.extend(error_type);
                histogram!(DURATION, labels).record(begun.elapsed());
            }
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Level::Call { in_flight } = &self.level {
            in_flight.decrement(1.0);
        }
    }
}

pub(crate) fn retry(kind: OperationKind, reason: Cow<'static, str>) {
    counter!(RETRIES, "operation" => kind.as_str(), "reason" => reason).increment(1);
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
