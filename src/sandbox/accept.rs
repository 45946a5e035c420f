//! Opening the link of a token.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde_json::json;

use super::Sandbox;
use crate::{ClerkError, ClerkErrors, server::response};

/// The path of the links.
pub(super) const PATH: &str = "/v1/tickets/accept";

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No token was minted with this ticket.
    #[error("no token was minted with this ticket")]
    Unknown,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The token was used before, and its session is live.
    #[error("the token was used before")]
    AlreadyAccepted,
}

impl AcceptError {
    fn response(self) -> Response<Full<Bytes>> {
        let (code, sentence) = match self {
            Self::Unknown => (
                "resource_not_found",
                "No actor token was found with this ticket.",
            ),
            Self::Expired => (
                "actor_token_cannot_be_used_code",
                "This actor token has expired and cannot be used.",
            ),
            Self::Revoked => (
                "actor_token_revoked_code",
                "This actor token was revoked and cannot be used.",
            ),
            Self::AlreadyAccepted => (
                "actor_token_already_used_code",
                "This actor token was used before. Each can be used once.",
            ),
        };
        let status = match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        let entry = ClerkError::new(code, self.to_string(), sentence);
        response::errors(status, ClerkErrors::new(entry), None)
    }
}

/// Returns the ticket in a link. A text without a query is the ticket itself.
pub(super) fn ticket_of(ticket_or_url: &str) -> &str {
    let Some((_, query)) = ticket_or_url.split_once('?') else {
        return ticket_or_url;
    };
    let query = query.split('#').next().unwrap_or_default();
    let mut pairs = query.split('&');
    let ticket = pairs.find_map(|pair| pair.strip_prefix("ticket="));
    ticket.unwrap_or_default()
}

/// Returns the response to a browser that opens a link, or `None` for any other request.
pub(super) fn response(sandbox: &Sandbox, head: &Parts) -> Option<Response<Full<Bytes>>> {
    if head.method != Method::GET || head.uri.path() != PATH {
        return None;
    }
    let link = head.uri.path_and_query()?.as_str();
    Some(match sandbox.accept(ticket_of(link)) {
        Ok(token) => {
            let body = json!({"status": token.status().as_str(), "user_id": token.user_id()});
            response::json(StatusCode::OK, body.to_string())
        }
        Err(error) => error.response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_is_found_in_a_link_or_alone() {
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
