//! Authenticates operators by their token, and authorizes them by their roles.

use std::sync::Arc;

use axum::{
    extract::{Extension, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use clerk_actor_tokens::ClerkError;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use secrecy::SecretString;
use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder, SecurityRequirement,
    path::Operation,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::error::Refused;
use crate::{Operator, Operators, Role, meter};

/// The name of the scheme in the OpenAPI document.
const SCHEME: &str = "operator";

/// Returns the refusal of a request without a valid token.
async fn refusal(operators: &Operators) -> Response {
    meter::unauthenticated();
    if let Some(wait) = operators.note_failure().await {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let sentence = "Too many requests had no valid token.";
        let refused = Refused::new(status, ClerkError::TOO_MANY_REQUESTS, sentence);
        return refused.retry_after(wait).into_response();
    }
    let sentence = "The header Authorization must be Bearer and the token of an operator.";
    let (status, code) = (StatusCode::UNAUTHORIZED, ClerkError::AUTHENTICATION_INVALID);
    let mut response = Refused::new(status, code, sentence).into_response();
    let scheme = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    response
}

/// Lets a request with the token of an operator pass, and adds the operator to it.
pub(super) async fn authenticate(
    State(operators): State<Operators>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = bearer_token(request.headers());
    let operator = token.and_then(|token| operators.authenticate(&token));
    let Some(operator) = operator else {
        return refusal(&operators).await;
    };
    request.headers_mut().remove(AUTHORIZATION);
    request.extensions_mut().insert(operator);
    next.run(request).await
}

/// Returns the token. Two `Authorization` headers are refused, because a proxy may have checked either one.
fn bearer_token(headers: &HeaderMap) -> Option<SecretString> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.into())
}

/// Lets an operator with this role pass.
pub(super) async fn authorize(
    State(role): State<Role>,
    Extension(operator): Extension<Arc<Operator>>,
    request: Request,
    next: Next,
) -> Response {
    if operator.may(role) {
        return next.run(request).await;
    }
    let sentence = format!("This needs the role {}.", role.as_str());
    let (status, code) = (StatusCode::FORBIDDEN, ClerkError::AUTHORIZATION_INVALID);
    Refused::new(status, code, sentence).into_response()
}

/// Documents how operators authenticate.
pub(super) struct Scheme;

impl utoipa::Modify for Scheme {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let scheme = scheme.description(Some("The token of an operator."));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme.build()));
    }
}

/// Documents that an operation needs a role.
pub(super) fn document(role: Role, operation: &mut Operation) {
    operation.security = Some(vec![SecurityRequirement::new(SCHEME, [role.as_str()])]);
    let role = format!("The operator does not have the role {}.", role.as_str());
    let responses = &mut operation.responses.responses;
    for (status, description) in [
        ("400", "The request cannot be read."),
        ("401", "The token is missing or wrong."),
        ("403", &*role),
        ("422", "A value is invalid."),
        ("429", "Too many requests had no valid token."),
        ("503", "The database cannot be read or written."),
    ] {
        let response = ResponseBuilder::new().description(description).build();
        responses.insert(status.into(), RefOr::T(response));
    }
    let errors = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Errors")))
        .build();
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && status != "200"
        {
            let content = RefOr::T(errors.clone());
            response.content.insert("application/json".into(), content);
        }
    }
}
