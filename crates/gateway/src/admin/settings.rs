//! `/pause` and `/quota`: what operators can change.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State};
use clerk_actor_tokens_policy::audit::SinkUnavailable;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    error::Refused,
    input::{Body, to_the_end},
};
use crate::{
    Gateway, Operator,
    store::{Flag, millis},
};

/// The time in which a change must be in the audit.
const LIMIT: Duration = Duration::from_secs(5);

const MAX_REASON_BYTES: usize = 1000;

/// Whether creates are paused.
#[derive(Serialize, ToSchema)]
pub(super) struct PauseState {
    is_paused: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    since: Option<Since>,
}

/// Since when, by whom and why.
#[derive(Serialize, ToSchema)]
pub(super) struct Since {
    since: u64,
    /// The operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Flag> for Since {
    fn from(flag: Flag) -> Self {
        Self {
            since: flag.since,
            by: flag.by,
            reason: flag.reason,
        }
    }
}

/// The quota of this calendar month (UTC).
#[derive(Serialize, ToSchema)]
pub(super) struct QuotaState {
    /// The creates of this month that took effect or may have.
    used: u64,
    /// The most creates of a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// The end of the month.
    resets_at: u64,
    /// Since when creates are closed, because the API said that its quota is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<Since>,
}

/// Whether creates are to be paused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPause {
    paused: bool,
    /// For the audit and for callers, at most 1000 bytes.
    reason: Option<String>,
}

/// Why the quota is reopened.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reopen {
    /// For the audit, at most 1000 bytes.
    reason: Option<String>,
}

/// Returns whether creates are paused.
#[utoipa::path(get, operation_id = "show_pause", path = "/pause", responses((status = OK, body = PauseState)))]
pub(super) async fn pause(State(gateway): State<Gateway>) -> Json<PauseState> {
    let paused = gateway.shared.parts.pause.get();
    Json(PauseState {
        is_paused: paused.is_some(),
        since: paused.map(Since::from),
    })
}

/// Pauses or resumes creates. Revokes pass.
#[utoipa::path(
    put,
    operation_id = "set_pause", path = "/pause",
    request_body = SetPause,
    responses((status = OK, body = PauseState))
)]
pub(super) async fn set_pause(
    State(gateway): State<Gateway>,
    Extension(by): Extension<Arc<Operator>>,
    Body(set): Body<Option<SetPause>>,
) -> Result<Json<PauseState>, Refused> {
    let Some(SetPause { paused, reason }) = set else {
        let sentence = "The body must have paused.";
        return Err(Refused::invalid(StatusCode::UNPROCESSABLE_ENTITY, sentence));
    };
    let reason = checked(reason)?;
    let (changed, by) = (gateway.clone(), by.principal("admin"));
    recorded(async move {
        let shared = &changed.shared;
        let pause = &shared.parts.pause;
        match paused {
            true => pause.pause(&shared.storage, by, reason).await,
            false => pause.resume(&shared.storage, by, reason).await,
        }
    })
    .await?;
    Ok(self::pause(State(gateway)).await)
}

/// Returns the quota.
#[utoipa::path(get, operation_id = "show_quota", path = "/quota", responses((status = OK, body = QuotaState)))]
pub(super) async fn quota(State(gateway): State<Gateway>) -> Json<QuotaState> {
    let status = gateway.shared.parts.quota.status();
    Json(QuotaState {
        used: status.used,
        limit: status.limit,
        resets_at: millis(status.resets_at),
        closed: status.closed.map(Since::from),
    })
}

/// Reopens creates that were closed because the API's quota was used up.
#[utoipa::path(
    post,
    operation_id = "reopen_quota", path = "/quota/reopen",
    request_body = Option<Reopen>,
    responses((status = OK, body = QuotaState))
)]
pub(super) async fn reopen_quota(
    State(gateway): State<Gateway>,
    Extension(by): Extension<Arc<Operator>>,
    Body(Reopen { reason }): Body<Reopen>,
) -> Result<Json<QuotaState>, Refused> {
    let reason = checked(reason)?;
    let (quota, by) = (gateway.shared.parts.quota.clone(), by.principal("admin"));
    recorded(async move { quota.reopen(by, reason).await }).await?;
    Ok(self::quota(State(gateway)).await)
}

fn checked(reason: Option<String>) -> Result<Option<String>, Refused> {
    match reason {
        Some(reason) if reason.len() > MAX_REASON_BYTES => {
            let sentence = format!("reason must have at most {MAX_REASON_BYTES} bytes.");
            Err(Refused::invalid(StatusCode::UNPROCESSABLE_ENTITY, sentence))
        }
        reason => Ok(reason),
    }
}

/// Makes a change within the limit.
async fn recorded(
    change: impl Future<Output = Result<(), SinkUnavailable>> + Send + 'static,
) -> Result<(), Refused> {
    let change = to_the_end(timeout(LIMIT, change));
    match change.await? {
        Ok(changed) => Ok(changed?),
        Err(_) => Err(SinkUnavailable::new("the audit took too long").into()),
    }
}
