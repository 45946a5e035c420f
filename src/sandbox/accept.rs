//! Using a token: its link, and why it may lead nowhere.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde_json::json;

use super::Sandbox;
use crate::{ClerkError, ClerkErrors, server::answer};

/// The path of the links.
pub(super) const PATH: &str = "/v1/tickets/accept";

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No token was minted with this ticket.
    #[error("no token was minted with this ticket")]
    Unknown,
    /// The life of the token has ended.
    #[error("the life of the token has ended")]
    Expired,
    /// The token was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The token was used before, and a session is live.
    #[error("the token was used before")]
    AlreadyAccepted,
}

impl AcceptError {
    fn answer(self) -> Response<Full<Bytes>> {
        let (status, code, sentence) = match self {
            Self::Unknown => (
                StatusCode::NOT_FOUND,
                "resource_not_found",
                "No actor token was found with this ticket.",
            ),
            Self::Expired => (
                StatusCode::BAD_REQUEST,
                "actor_token_cannot_be_used_code",
                "This actor token cannot be used any more.",
            ),
            Self::Revoked => (
                StatusCode::BAD_REQUEST,
                "actor_token_revoked_code",
                "This actor token was revoked and cannot be used any more.",
            ),
            Self::AlreadyAccepted => (
                StatusCode::BAD_REQUEST,
                "actor_token_already_used_code",
                "This actor token was used before. Each can be used once.",
            ),
        };
        let entry = ClerkError::new(code, self.to_string(), sentence);
        answer::errors(status, ClerkErrors::new(entry), None)
    }
}

/// The ticket in a link, or the text itself.
pub(super) fn ticket_of(ticket_or_url: &str) -> &str {
    match ticket_or_url.split_once('?') {
        Some((_, query)) => of_query(query).unwrap_or_default(),
        None => ticket_or_url,
    }
}

fn of_query(query: &str) -> Option<&str> {
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("ticket="))
}

/// The answer to one who opens a link; `None` when the request is something else.
pub(super) fn answer(sandbox: &Sandbox, head: &Parts) -> Option<Response<Full<Bytes>>> {
    if head.method != Method::GET || head.uri.path() != PATH {
        return None;
    }
    let ticket = head.uri.query().and_then(of_query).unwrap_or_default();
    Some(match sandbox.accept(ticket) {
        Ok(token) => {
            let body = json!({"status": token.status().as_str(), "user_id": token.user_id()});
            answer::json(StatusCode::OK, body.to_string())
        }
        Err(error) => error.answer(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_found_in_a_link_or_stands_alone() {
        for (text, ticket) in [
            ("eyJ.a.b", "eyJ.a.b"),
            ("https://x/v1/tickets/accept?ticket=eyJ", "eyJ"),
            ("https://x/v1/tickets/accept?a=b&ticket=eyJ&c=d#e", "eyJ"),
            ("https://x/v1/tickets/accept?a=b", ""),
            ("https://x/?", ""),
        ] {
            assert_eq!(ticket_of(text), ticket, "{text}");
        }
    }
}
