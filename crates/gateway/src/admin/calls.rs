//! `/calls`: the audit.

use axum::{Json, extract::State};
use clerk_actor_tokens_policy::CallId;

use super::{
    error::Refused,
    input::{Id, Parameters, at_most},
};
use crate::{
    Gateway,
    store::{CallDetail, CallFilter, CallRow, Page},
};

/// The most calls of a page.
const MAX_CALLS: u32 = 200;

/// Returns calls, the newest first. A page has at most 200; `next` is the parameter `before` of the next one.
#[utoipa::path(
    get,
    operation_id = "list_calls", path = "/calls",
    params(CallFilter),
    responses((status = OK, body = Page<CallRow>))
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Parameters(filter): Parameters<CallFilter>,
) -> Result<Json<Page<CallRow>>, Refused> {
    at_most(filter.limit, MAX_CALLS)?;
    Ok(Json(gateway.shared.storage.calls(filter).await?))
}

/// Returns a call with all entries of the audit.
#[utoipa::path(
    get,
    operation_id = "show_call", path = "/calls/{id}",
    params(("id" = String, Path, description = "The id of the call.")),
    responses((status = OK, body = CallDetail), (status = NOT_FOUND, description = "The call is unknown."))
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Id(id): Id<CallId>,
) -> Result<Json<CallDetail>, Refused> {
    let call = gateway.shared.storage.call(id).await?;
    call.map(Json).ok_or_else(|| Refused::not_found("call"))
}
