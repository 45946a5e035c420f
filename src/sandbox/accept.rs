//! Opening the link of a token.

use http::{Method, Response, StatusCode, request::Parts};
use serde_json::json;

use super::Sandbox;
use crate::{
    ClerkError,
    server::{ResponseBody, response},
};

/// The path of a token's link.
pub(super) const PATH: &str = "/v1/tickets/accept";

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No token has this ticket.
    #[error("no token has this ticket")]
    Unknown,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The token was already used. Its session is live.
    #[error("the token was already used")]
    AlreadyAccepted,
}

/// Returns the ticket in a link, or the whole text if it has none.
pub(super) fn ticket_of(ticket_or_url: &str) -> &str {
    let mut parts = ticket_or_url.split(['?', '&', '#']);
    parts
        .find_map(|part| part.strip_prefix("ticket="))
        .unwrap_or(ticket_or_url)
}

/// Returns the response to a browser that opens a link, or `None` for any other request.
pub(super) fn response(sandbox: &Sandbox, head: &Parts) -> Option<Response<ResponseBody>> {
    if head.method != Method::GET || head.uri.path() != PATH {
        return None;
    }
    let error = match sandbox.accept(head.uri.path_and_query()?.as_str()) {
        Ok(token) => {
            let body = json!({"status": token.status().as_str(), "user_id": token.user_id()});
            return Some(response::json(StatusCode::OK, body.to_string()));
        }
        Err(error) => error,
    };
    let (status, code) = match error {
        AcceptError::Unknown => (StatusCode::NOT_FOUND, "resource_not_found"),
        AcceptError::Expired => (StatusCode::BAD_REQUEST, "actor_token_cannot_be_used_code"),
        AcceptError::Revoked => (StatusCode::BAD_REQUEST, "actor_token_revoked_code"),
        AcceptError::AlreadyAccepted => (StatusCode::BAD_REQUEST, "actor_token_already_used_code"),
    };
    let sentence = format!("The link cannot be used: {error}.");
    let entry = ClerkError::new(code, error.to_string(), sentence);
    Some(response::refusal(status, entry).to_response())
}
