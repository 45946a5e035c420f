//! `/livez`, `/readyz` and `/metrics`, for the host and its monitoring.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use crate::{Gateway, Metrics, gateway::Shared, meter::Gauges, wire};

pub(crate) fn router(gateway: &Gateway, metrics: Option<Metrics>) -> Router {
    let mut router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready));
    if let Some(metrics) = metrics {
        let scrape = async move |State(gateway): State<Gateway>| -> Response {
            gateway.measure().await;
            let content_type = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
            (content_type, metrics.render()).into_response()
        };
        router = router.route("/metrics", get(scrape));
    }
    wire::guarded(router.with_state(gateway.clone()))
}

/// Whether the gateway takes creates. While they are paused it is ready, because its pause is no fault.
#[derive(Serialize)]
struct Readiness {
    is_ready: bool,
    /// Why it is not ready: `stopping`, `audit_unavailable`.
    reasons: Vec<&'static str>,
    /// What does not work, while the gateway is ready: `redis`, so that limits and gate are its own.
    degraded: Vec<&'static str>,
    is_paused: bool,
    is_quota_closed: bool,
}

async fn ready(State(gateway): State<Gateway>) -> Response {
    let shared = &gateway.shared;
    let mut reasons = Vec::new();
    if shared.stopping.is_cancelled() {
        reasons.push("stopping");
    }
    if !shared.storage.is_available().await {
        reasons.push("audit_unavailable");
    }
    let redis = shared.parts.redis.as_ref();
    let has_no_redis = redis.is_some_and(|redis| !redis.is_available());
    let readiness = Readiness {
        is_ready: reasons.is_empty(),
        reasons,
        degraded: has_no_redis.then_some("redis").into_iter().collect(),
        is_paused: shared.parts.pause.get().is_some(),
        is_quota_closed: shared.parts.quota.status().closed.is_some(),
    };
    let status = match readiness.is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}

/// Sets the gauges. Those of the leases stay while the database cannot be read.
pub(crate) async fn measure(shared: &Shared) {
    let states = shared.storage.live_states().await;
    let quota = shared.parts.quota.status();
    let gauges = Gauges {
        is_paused: shared.parts.pause.get().is_some(),
        is_quota_closed: quota.closed.is_some(),
        quota_used: quota.used,
        quota_limit: quota.limit,
        has_other_policy: shared.other_policy.borrow().is_some(),
        leases: states.as_deref().ok(),
    };
    gauges.set();
}
