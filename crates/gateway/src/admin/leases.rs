//! `/leases`, `/actors` and `/subjects`: the tokens that may be live, and how operators end them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Extension, Json, extract::State};
use clerk_actor_tokens::ActorTokenId;
use clerk_actor_tokens_policy::CallId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::Refused,
    input::{Body, Id, Parameters, at_most, to_the_end},
};
use crate::{
    Ended, Gateway, Operator,
    store::{Lease, LeaseFilter, LeaseState, millis},
};

/// The most leases in a response.
const MAX_LEASES: u32 = 1000;
const DEFAULT_LEASES: u32 = 200;

/// Which leases are shown.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Shown {
    /// The user who is the actor.
    actor: Option<String>,
    /// The user to sign in as.
    subject: Option<String>,
    /// The earliest creation.
    since: Option<u64>,
    /// Whether those that have ended are shown as well.
    #[serde(default)]
    ended: bool,
    /// The most leases, at most 1000. Default: 200.
    limit: Option<u32>,
}

/// Leases, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct LeaseList {
    items: Vec<LeaseRow>,
    /// Whether there are more.
    is_truncated: bool,
}

/// A token that exists or may exist.
#[derive(Serialize, ToSchema)]
pub(super) struct LeaseRow {
    /// The call that created it.
    #[schema(value_type = String)]
    call: CallId,
    /// Its id. Absent if the response of the API was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    actor_token_id: Option<ActorTokenId>,
    /// The user to sign in as.
    subject: String,
    /// The user who is the actor.
    actor: String,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_at: u64,
    /// Until when the token can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_until: Option<u64>,
    /// Until when a session that it began can last.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_until: Option<u64>,
    state: LeaseState,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<u64>,
}

impl From<Lease> for LeaseRow {
    fn from(lease: Lease) -> Self {
        Self {
            call: lease.call,
            actor_token_id: lease.actor_token_id,
            subject: lease.subject,
            actor: lease.actor,
            principal: lease.principal,
            reason: lease.reason,
            created_at: millis(lease.created_at),
            live_until: lease.live_until.map(millis),
            session_until: lease.session_until.map(millis),
            state: lease.state,
            ended_at: lease.ended_at.map(millis),
        }
    }
}

/// Returns the tokens that may be live, the newest first.
#[utoipa::path(get, operation_id = "list_leases", path = "/leases", params(Shown), responses((status = OK, body = LeaseList)))]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Parameters(shown): Parameters<Shown>,
) -> Result<Json<LeaseList>, Refused> {
    at_most(shown.limit, MAX_LEASES)?;
    let limit = shown.limit.unwrap_or(DEFAULT_LEASES);
    let filter = LeaseFilter {
        actor: shown.actor,
        subject: shown.subject,
        since: shown.since.map(time),
        live_only: !shown.ended,
        // One more shows whether there are more.
        limit: Some(limit + 1),
        ..LeaseFilter::default()
    };
    let mut leases = gateway.leases().list(filter).await?;
    let is_truncated = leases.len() > limit as usize;
    leases.truncate(limit as usize);
    let items = leases.into_iter().map(LeaseRow::from).collect();
    Ok(Json(LeaseList {
        items,
        is_truncated,
    }))
}

/// Which leases are ended. At least one of the first four must be given.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    /// The id of the token.
    #[schema(value_type = Option<String>)]
    token: Option<ActorTokenId>,
    /// The user who is the actor.
    actor: Option<String>,
    /// The user to sign in as.
    subject: Option<String>,
    /// The earliest creation. With 0 all leases are ended.
    since: Option<u64>,
    /// Whether the session of a token that was used is ended as well. Default: false.
    sessions: bool,
}

/// How leases are ended.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct How {
    /// Whether the session of a token that was used is ended as well. Default: false.
    sessions: bool,
}

/// The end of each lease.
#[derive(Serialize, ToSchema)]
pub(super) struct EndedLeases {
    ended: Vec<Ended>,
}

/// Ends the live leases that match all of the given values: revokes their tokens.
#[utoipa::path(
    post,
    operation_id = "end_leases", path = "/leases/end",
    request_body = Which,
    responses((status = OK, body = EndedLeases))
)]
pub(super) async fn end(
    State(gateway): State<Gateway>,
    Extension(by): Extension<Arc<Operator>>,
    Body(which): Body<Which>,
) -> Result<Json<EndedLeases>, Refused> {
    let Which {
        token,
        actor,
        subject,
        since,
        sessions,
    } = which;
    if token.is_none() && actor.is_none() && subject.is_none() && since.is_none() {
        let sentence = "One of token, actor, subject and since must be given.";
        return Err(Refused::invalid(StatusCode::UNPROCESSABLE_ENTITY, sentence));
    }
    let filter = LeaseFilter {
        actor_token_id: token,
        actor,
        subject,
        since: since.map(time),
        ..LeaseFilter::live()
    };
    end_all(gateway, filter, sessions, &by).await
}

/// Ends one lease: revokes its token.
#[utoipa::path(
    post,
    operation_id = "end_lease", path = "/leases/{call}/end",
    params(("call" = String, Path, description = "The call that created the token.")),
    request_body = Option<How>,
    responses((status = OK, body = EndedLeases), (status = NOT_FOUND, description = "The lease is unknown."))
)]
pub(super) async fn end_one(
    State(gateway): State<Gateway>,
    Extension(by): Extension<Arc<Operator>>,
    Id(call): Id<CallId>,
    Body(how): Body<How>,
) -> Result<Json<EndedLeases>, Refused> {
    let filter = LeaseFilter {
        call: Some(call),
        ..LeaseFilter::default()
    };
    if gateway.leases().list(filter).await?.is_empty() {
        return Err(Refused::not_found("lease"));
    }
    let filter = LeaseFilter {
        call: Some(call),
        ..LeaseFilter::live()
    };
    end_all(gateway, filter, how.sessions, &by).await
}

/// Ends the live leases of an actor: revokes their tokens.
#[utoipa::path(
    post,
    operation_id = "end_leases_of_actor", path = "/actors/{id}/revoke",
    params(("id" = String, Path, description = "The user who is the actor.")),
    request_body = Option<How>,
    responses((status = OK, body = EndedLeases))
)]
pub(super) async fn end_of_actor(
    State(gateway): State<Gateway>,
    Extension(by): Extension<Arc<Operator>>,
    Id(actor): Id<String>,
    Body(how): Body<How>,
) -> Result<Json<EndedLeases>, Refused> {
    let filter = LeaseFilter {
        actor: Some(actor),
        ..LeaseFilter::live()
    };
    end_all(gateway, filter, how.sessions, &by).await
}

/// Ends the live leases of a subject: revokes their tokens.
#[utoipa::path(
    post,
    operation_id = "end_leases_of_subject", path = "/subjects/{id}/revoke",
    params(("id" = String, Path, description = "The user to sign in as.")),
    request_body = Option<How>,
    responses((status = OK, body = EndedLeases))
)]
pub(super) async fn end_of_subject(
    State(gateway): State<Gateway>,
    Extension(by): Extension<Arc<Operator>>,
    Id(subject): Id<String>,
    Body(how): Body<How>,
) -> Result<Json<EndedLeases>, Refused> {
    let filter = LeaseFilter {
        subject: Some(subject),
        ..LeaseFilter::live()
    };
    end_all(gateway, filter, how.sessions, &by).await
}

async fn end_all(
    gateway: Gateway,
    filter: LeaseFilter,
    sessions: bool,
    by: &Operator,
) -> Result<Json<EndedLeases>, Refused> {
    let by = by.principal("admin");
    let ended = to_the_end(async move { gateway.leases().end(filter, sessions, &by).await });
    let ended = ended.await??;
    Ok(Json(EndedLeases { ended }))
}

fn time(millis: u64) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    // A time that the system cannot show is later than every lease.
    time.unwrap_or_else(SystemTime::now)
}
