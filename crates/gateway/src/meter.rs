//! [`Metrics`], the recorder of the process, and the metrics of the gateway itself.
//!
//! No id of a user, reason or credential may be passed here.

use std::{fmt, io, thread, time::Duration};

use clerk_actor_tokens::ClerkError;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::store::LeaseState;

const REFUSED: &str = "clerk.actor_tokens.gateway.refused";
const UNAUTHENTICATED: &str = "clerk.actor_tokens.gateway.unauthenticated";
const LEASES: &str = "clerk.actor_tokens.gateway.leases";
const PAUSED: &str = "clerk.actor_tokens.gateway.paused";
const QUOTA_USED: &str = "clerk.actor_tokens.gateway.quota_used";
const QUOTA_LIMIT: &str = "clerk.actor_tokens.gateway.quota_limit";
const QUOTA_CLOSED: &str = "clerk.actor_tokens.gateway.quota_closed";
const OTHER_POLICY: &str = "clerk.actor_tokens.gateway.other_policy";

/// The histograms, all in seconds. Without buckets the exporter makes quantiles, which cannot be added up
/// across processes.
const HISTOGRAMS: [&str; 6] = [
    "http.client.request.duration",
    "clerk.actor_tokens.policy.audit_write",
    "clerk.actor_tokens.policy.gate_wait",
    "clerk.actor_tokens.postgres.append",
    "clerk.actor_tokens.postgres.beat",
    "clerk.actor_tokens.redis.command",
];

/// As OpenTelemetry advises for `http.client.request.duration`, and 1 ms for the audit.
const BUCKETS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The time between two collections of the histograms, which otherwise grow until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// The states of leases that may be live.
const LIVE: [LeaseState; 3] = [LeaseState::Returned, LeaseState::Lost, LeaseState::Accepted];

/// Records the metrics of the process for `/metrics`.
///
/// An application with a recorder of its own needs no `Metrics`: it calls [`describe_metrics`] once, and
/// [`Gateway::measure`](crate::Gateway::measure) before each scrape.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder of the process, and describes all metrics to it.
    ///
    /// # Errors
    ///
    /// When the process has a recorder already, or the thread that collects histograms cannot be started.
    pub fn install() -> Result<Self, MetricsError> {
        let mut builder = PrometheusBuilder::new();
        for name in HISTOGRAMS {
            let matcher = Matcher::Full(name.into());
            builder = builder.set_buckets_for_metric(matcher, &BUCKETS)?;
        }
        let handle = builder.install_recorder()?;
        describe_metrics();
        let upkeep = handle.clone();
        thread::Builder::new()
            .name("metrics".into())
            .spawn(move || {
                loop {
                    thread::sleep(UPKEEP);
                    upkeep.run_upkeep();
                }
            })?;
        Ok(Self(handle))
    }

    /// Returns all metrics as text, which Prometheus reads.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Why the recorder could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("could not install the recorder of metrics")]
pub struct MetricsError(#[source] clerk_actor_tokens::BoxError);

impl From<metrics_exporter_prometheus::BuildError> for MetricsError {
    fn from(error: metrics_exporter_prometheus::BuildError) -> Self {
        Self(error.into())
    }
}

impl From<io::Error> for MetricsError {
    fn from(error: io::Error) -> Self {
        Self(error.into())
    }
}

/// Describes the metrics of the gateway, of the policy layers and of the client to the recorder. Call it
/// once, after the recorder is installed.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `clerk.actor_tokens.gateway.refused` | counter | `rule`: `paused`, `quota_used`, `quota_closed`, `overloaded`, `stopping` |
/// | `clerk.actor_tokens.gateway.unauthenticated` | counter | |
/// | `clerk.actor_tokens.gateway.leases` | gauge | `state`: `returned`, `lost`, `accepted` |
/// | `clerk.actor_tokens.gateway.paused` | gauge, 0 or 1 | |
/// | `clerk.actor_tokens.gateway.quota_used` | gauge | |
/// | `clerk.actor_tokens.gateway.quota_limit` | gauge, absent without a limit | |
/// | `clerk.actor_tokens.gateway.quota_closed` | gauge, 0 or 1 | |
/// | `clerk.actor_tokens.gateway.other_policy` | gauge, 0 or 1: another gateway loaded another version of the policy | |
///
/// Gateways with one database show the same leases. The others are described at
/// [`clerk_actor_tokens::describe_metrics`], [`clerk_actor_tokens_policy::describe_metrics`],
/// [`clerk_actor_tokens_postgres::describe_metrics`] and [`clerk_actor_tokens_redis::describe_metrics`].
pub fn describe_metrics() {
    clerk_actor_tokens::describe_metrics();
    clerk_actor_tokens_policy::describe_metrics();
    clerk_actor_tokens_postgres::describe_metrics();
    clerk_actor_tokens_redis::describe_metrics();
    let count = Unit::Count;
    describe_counter!(REFUSED, count, "Creates that the gateway refused");
    describe_counter!(
        UNAUTHENTICATED,
        count,
        "Requests without a valid operator token"
    );
    describe_gauge!(LEASES, count, "Tokens and sessions that may be live");
    describe_gauge!(PAUSED, count, "Whether creates are paused");
    describe_gauge!(QUOTA_USED, count, "Tokens of this month");
    describe_gauge!(QUOTA_LIMIT, count, "The most tokens of a month");
    describe_gauge!(
        QUOTA_CLOSED,
        count,
        "Whether creates are closed by the API's quota"
    );
    describe_gauge!(
        OTHER_POLICY,
        count,
        "Whether another gateway loaded another version of the policy"
    );
    // So that the first event is an increase.
    for rule in Rule::ALL {
        counter!(REFUSED, "rule" => rule.as_str()).increment(0);
    }
    counter!(UNAUTHENTICATED).increment(0);
}

/// A reason why the gateway refuses a create: the rule in the audit and in metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    Paused,
    QuotaUsed,
    QuotaClosed,
    Overloaded,
    Stopping,
}

impl Rule {
    const ALL: [Self; 5] = [
        Self::Paused,
        Self::QuotaUsed,
        Self::QuotaClosed,
        Self::Overloaded,
        Self::Stopping,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::QuotaUsed => "quota_used",
            Self::QuotaClosed => "quota_closed",
            Self::Overloaded => "overloaded",
            Self::Stopping => "stopping",
        }
    }

    /// The error code.
    fn code(self) -> &'static str {
        match self {
            Self::QuotaUsed | Self::QuotaClosed => "quota_exceeded",
            _ => self.as_str(),
        }
    }
}

/// Counts a create that is refused, and returns the entry of its error.
pub(crate) fn refused(rule: Rule, sentence: impl Into<String>) -> ClerkError {
    counter!(REFUSED, "rule" => rule.as_str()).increment(1);
    let (code, message) = (rule.code(), rule.code().replace('_', " "));
    ClerkError::new(code, message, sentence).with_meta("rule", rule.as_str())
}

/// Counts a request of the admin API without a valid token.
pub(crate) fn unauthenticated() {
    counter!(UNAUTHENTICATED).increment(1);
}

/// The values of the gauges.
pub(crate) struct Gauges<'a> {
    pub(crate) is_paused: bool,
    pub(crate) is_quota_closed: bool,
    pub(crate) quota_used: u64,
    pub(crate) quota_limit: Option<u64>,
    pub(crate) has_other_policy: bool,
    /// `None` keeps the last values.
    pub(crate) leases: Option<&'a [LeaseState]>,
}

impl Gauges<'_> {
    pub(crate) fn set(&self) {
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        gauge!(PAUSED).set(flag(self.is_paused));
        gauge!(QUOTA_CLOSED).set(flag(self.is_quota_closed));
        gauge!(QUOTA_USED).set(self.quota_used as f64);
        if let Some(limit) = self.quota_limit {
            gauge!(QUOTA_LIMIT).set(limit as f64);
        }
        gauge!(OTHER_POLICY).set(flag(self.has_other_policy));
        for state in LIVE {
            if let Some(leases) = self.leases {
                let count = leases.iter().filter(|it| **it == state).count();
                gauge!(LEASES, "state" => state.as_str()).set(count as f64);
            }
        }
    }
}
