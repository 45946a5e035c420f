//! [`Expected`], the token that the response to an operation must describe.

use std::time::Duration;

use http::StatusCode;

use crate::{
    ActorToken, ActorTokenId, ActorTokenStatus, BoxError, Error, ErrorKind, InvalidActorToken,
    Outcome, call::CallRecord,
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
    pub(super) fn decode(mut self, body: &[u8]) -> Result<ActorToken, BoxError> {
        let read = match &mut self {
            Self::Minted { user_id, .. } => ActorToken::read(body, user_id),
            Self::Revoked { .. } => ActorToken::from_json(body),
        };
        let token = match read {
            Ok(token) => token,
            Err(error) => return Err(self.undecodable(error, body).into()),
        };
        match self {
            Self::Minted {
                user_id: None,
                lifetime,
            } => Ok(token.living_for(lifetime)),
            Self::Minted { .. } if token.user_id().is_some() => {
                Err(about_another_user(token.id).into())
            }
            Self::Minted { .. } => {
                let error = unreadable("the response does not name its user");
                Err(error.with_actor_token_id(Some(token.id)).into())
            }
            Self::Revoked { id } if token.id == id => Ok(token),
            Self::Revoked { .. } => Err(unreadable("the response is about another token").into()),
        }
    }

    /// The error of a 200 that does not decode. Without any sign of a token it may come from something
    /// else than the API.
    fn undecodable(self, error: InvalidActorToken, body: &[u8]) -> Error {
        let unusable = unreadable(&error.to_string());
        let Some(salvaged) = ActorToken::salvage(body) else {
            return match error.is_complete() {
                true => unusable,
                false => unusable.with_outcome(Outcome::Unknown),
            };
        };
        match (self, salvaged.user_id) {
            (Self::Minted { user_id, .. }, Some(found)) if user_id.as_ref() != Some(&found) => {
                about_another_user(salvaged.id)
            }
            _ => unusable.with_actor_token_id(Some(salvaged.id)),
        }
    }

    /// Turns the error of a revoke into success if the token is already revoked and an earlier attempt
    /// of the same call may have revoked it.
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

fn about_another_user(id: ActorTokenId) -> Error {
    unreadable("the response is about another user")
        .with_actor_token_id(Some(id))
        .with_foreign_token(true)
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorKind::UnreadableResponse, Outcome::Applied)
        .with_status(StatusCode::OK)
        .with_detail(why)
}
