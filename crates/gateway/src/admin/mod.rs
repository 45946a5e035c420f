//! `/admin/v1`, the API for operators and their tools.
//!
//! Every route is in one of three tables, by the role that it needs. [`OpenApiRouter`] makes both the routes
//! and the OpenAPI document from them.

mod auth;
mod calls;
mod error;
mod input;
mod leases;
mod settings;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
    routing::any,
};
use http::{StatusCode, header::ALLOW};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{auth::Scheme, error::Refused};
use crate::{Gateway, Role, wire};

const PREFIX: &str = "/admin/v1";

/// Enough for every request: the longest reason and a few ids.
const MAX_BODY_BYTES: usize = 16 * 1024;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "clerk-actor-tokens-gateway",
        description = "Shows and ends what was created through a gateway for Clerk's actor tokens. Times are milliseconds since 1970. A change is in the audit before its response."
    ),
    components(schemas(error::Errors)),
    modifiers(&Scheme),
)]
struct Api;

pub(crate) fn router(gateway: &Gateway) -> Router {
    let (router, document) = tables().split_for_parts();
    let document = Arc::new(document);
    let router = router
        .route(
            "/admin/v1/{*rest}",
            any(async || Refused::not_found("path")),
        )
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::Extension(document))
        .layer(middleware::from_fn_with_state(
            gateway.shared.operators.clone(),
            auth::authenticate,
        ))
        .with_state(gateway.clone());
    wire::guarded(router)
}

fn tables() -> OpenApiRouter<Gateway> {
    let view = OpenApiRouter::new()
        .routes(routes!(calls::list))
        .routes(routes!(calls::show))
        .routes(routes!(leases::list))
        .routes(routes!(settings::quota))
        .routes(routes!(settings::pause))
        .routes(routes!(document));
    let end = OpenApiRouter::new()
        .routes(routes!(leases::end))
        .routes(routes!(leases::end_one))
        .routes(routes!(leases::end_of_actor))
        .routes(routes!(leases::end_of_subject));
    let pause = OpenApiRouter::new()
        .routes(routes!(settings::reopen_quota))
        .routes(routes!(settings::set_pause));
    let api = OpenApiRouter::with_openapi(Api::openapi())
        .merge(allowed(Role::View, view))
        .merge(allowed(Role::End, end))
        .merge(allowed(Role::Pause, pause));
    OpenApiRouter::new().nest(PREFIX, api)
}

/// Restricts a table to operators with this role, and documents that.
fn allowed(role: Role, table: OpenApiRouter<Gateway>) -> OpenApiRouter<Gateway> {
    let mut table = table.route_layer(middleware::from_fn_with_state(role, auth::authorize));
    for item in table.get_openapi_mut().paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put];
        for operation in operations.into_iter().flatten() {
            auth::document(role, operation);
        }
    }
    table
}

async fn method_not_allowed() -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let refused = Refused::new(status, "method_not_allowed", "This path has other methods.");
    let mut response = refused.into_response();
    // The router adds the methods of the path.
    response.headers_mut().remove(ALLOW);
    response
}

/// Returns this document.
#[utoipa::path(get, operation_id = "show_document", path = "/openapi.json", responses((status = OK, body = Object)))]
async fn document(document: axum::Extension<Arc<openapi::OpenApi>>) -> Json<openapi::OpenApi> {
    Json(openapi::OpenApi::clone(&document))
}
