//! [`Expected`], the token that the response to an operation must describe.

use std::time::Duration;

use crate::{
    ActorToken, ActorTokenId, ActorTokenStatus, BoxError, Error, ErrorKind, InvalidActorToken,
    Outcome, TokenResponse, call::CallRecord, layer::decode_error::revoked,
};

/// The token that the response must describe.
pub(super) enum Expected {
    Minted {
        /// Moved into the token that names this user.
        user_id: Option<String>,
        lifetime: Duration,
    },
    Revoked {
        id: ActorTokenId,
    },
}

impl Expected {
    /// Reads the token in a 200 and checks that it is the expected one.
    pub(super) fn decode(self, response: TokenResponse) -> Result<ActorToken, Error> {
        let (mut user_id, lifetime) = match self {
            Self::Minted { user_id, lifetime } => (user_id, lifetime),
            Self::Revoked { id } => {
                // DecodeError has read the token, unless another layer replaces it.
                return match response.revoked {
                    Some(token) => Ok(*token),
                    None => revoked(Some(&id), &response.bytes),
                };
            }
        };
        // If the response cannot be used, dropping the guard revokes or reports the token.
        let TokenResponse { bytes, guard, .. } = response;
        let mut token = ActorToken::read(&bytes, None, &mut user_id)
            .map_err(|error| undecodable(user_id.as_deref(), error, &bytes))?;
        match (user_id, token.user_id()) {
            (None, _) => {
                token.set_lifetime(lifetime);
                token.set_guard(guard);
                Ok(token)
            }
            (_, Some(_)) => Err(about_another_user(token.id)),
            (_, None) => Err(applied("the response does not name its user", token.id)),
        }
    }

    /// Turns the error of a revoke into success if the token is already revoked, and an earlier attempt of
    /// this call may have revoked it.
    pub(super) fn converge(
        self,
        error: BoxError,
        record: &CallRecord,
    ) -> Result<ActorToken, BoxError> {
        match (self, error.downcast_ref::<Error>()) {
            (Self::Revoked { id }, Some(typed))
                if typed.kind() == ErrorKind::AlreadyRevoked
                    && typed.outcome() == Outcome::Rejected
                    && record.outcome() >= Outcome::Unknown =>
            {
                Ok(ActorToken::new(id, ActorTokenStatus::Revoked))
            }
            _ => Err(error),
        }
    }
}

/// Returns the error of a create's 200 that does not decode. If it has no id of a token, it may be the
/// response to another request.
fn undecodable(user_id: Option<&str>, error: InvalidActorToken, body: &[u8]) -> Error {
    let why = error.to_string();
    match ActorToken::salvage(body) {
        None => Error::unreadable(why, Outcome::Unknown),
        Some(found) if found.user_id.is_some() && found.user_id.as_deref() != user_id => {
            about_another_user(found.id)
        }
        Some(found) => applied(&why, found.id),
    }
}

fn about_another_user(id: ActorTokenId) -> Error {
    Error::unreadable("the response is about another user", Outcome::Unknown)
        .with_actor_token_id(id)
        .with_foreign_token(true)
}

fn applied(why: &str, id: ActorTokenId) -> Error {
    Error::unreadable(why, Outcome::Applied).with_actor_token_id(id)
}
