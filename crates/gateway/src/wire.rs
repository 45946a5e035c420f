//! `/v1`, the API's wire protocol for any Clerk SDK, and the 404 of every other path.
//!
//! The principal of a call is the named key that its caller presented. A create that the gateway has no
//! room or no time for is refused with 503 before it begins, so that the audit does not know it; a revoke
//! passes.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::any,
};
use clerk_actor_tokens::{
    ActorTokenRequest, ClerkError, ClerkErrors, Client, Error, OperationKind,
    server::{ActorTokensApi, KeyName},
};
use clerk_actor_tokens_policy::Principal;
use http::{HeaderValue, Method, StatusCode, Version, header::CACHE_CONTROL};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::{layer::layer_fn, service_fn};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::{
    Gateway,
    meter::{self, Rule},
};

/// The wait before a refused create is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) fn router(gateway: &Gateway) -> Router {
    let shared = &gateway.shared;
    let admission = Admission {
        places: Arc::clone(&shared.places),
        stopping: shared.stopping.clone(),
    };
    let admitted = layer_fn(move |client: Client| {
        let admission = admission.clone();
        service_fn(move |request| {
            let (client, admitted) = (client.clone(), admission.admit(request));
            async move {
                let (request, _place) = admitted?;
                client.send(request).await
            }
        })
    });
    let client = shared.client.clone().wrap(admitted);
    let api = ActorTokensApi::with_keys(client, shared.keys.clone());
    let router = Router::new()
        .route_service("/v1/actor_tokens", api.clone())
        .route_service("/v1/actor_tokens/{id}/revoke", api)
        .route("/v1", any(not_found))
        .route("/v1/", any(not_found))
        .route("/v1/{*rest}", any(not_found));
    guarded(router)
}

/// Adds the 404 of every other path.
pub(crate) fn with_fallback(router: Router) -> Router {
    router.merge(guarded(Router::new().fallback(not_found)))
}

/// Keeps responses out of caches, and requests to a proxy out of the routes.
pub(crate) fn guarded(router: Router) -> Router {
    let no_store = HeaderValue::from_static("no-store");
    router
        .layer(from_fn(refuse_proxy_requests))
        .layer(SetResponseHeaderLayer::overriding(CACHE_CONTROL, no_store))
}

/// The place of a create among `max_calls`.
type Place = Option<OwnedSemaphorePermit>;

/// Decides whether a call may begin.
#[derive(Clone)]
struct Admission {
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Admission {
    /// Adds the principal to a request, and takes the place of a create, which it has until its call ends.
    fn admit(&self, mut request: ActorTokenRequest) -> Result<(ActorTokenRequest, Place), Error> {
        let place = match request.operation().kind() {
            OperationKind::Create => Some(self.take_place()?),
            _ => None,
        };
        if let Some(name) = request.extensions().get::<KeyName>() {
            let principal = Principal::new(name.as_str()).via(Principal::KEY);
            request.extensions_mut().insert(principal);
        }
        Ok((request, place))
    }

    fn take_place(&self) -> Result<OwnedSemaphorePermit, Error> {
        if self.stopping.is_cancelled() {
            return Err(unavailable(Rule::Stopping, "The gateway stops."));
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        let sentence = "The gateway has too many calls at the moment.";
        place.map_err(|_| unavailable(Rule::Overloaded, sentence))
    }
}

fn unavailable(rule: Rule, sentence: &str) -> Error {
    let errors = ClerkErrors::new(meter::refused(rule, sentence));
    Error::refused(StatusCode::SERVICE_UNAVAILABLE, errors).with_retry_after(RETRY_AFTER)
}

/// Refuses a request whose target is that of a proxy: a whole URL, or an authority. HTTP/2 has no such
/// difference, except for CONNECT.
async fn refuse_proxy_requests(request: Request, next: Next) -> Response {
    let is_whole = request.uri().authority().is_some() && request.version() < Version::HTTP_2;
    match is_whole || request.method() == Method::CONNECT {
        true => not_found().await,
        false => next.run(request).await,
    }
}

async fn not_found() -> Response {
    let sentence = "This gateway serves POST /v1/actor_tokens, POST /v1/actor_tokens/{id}/revoke, its admin API below /admin/v1, see /admin/v1/openapi.json, and its console at /console.";
    let entry = ClerkError::new(ClerkError::RESOURCE_NOT_FOUND, "not found", sentence);
    let error = Error::refused(StatusCode::NOT_FOUND, ClerkErrors::new(entry));
    error.to_response().into_response()
}
