//! [`Expected`], what the answer to an operation must be about.

use std::time::Duration;

use http::StatusCode;

use crate::{
    ActorToken, ActorTokenId, ActorTokenStatus, BoxError, Error, ErrorKind, InvalidActorToken,
    Outcome, call::Progress,
};

/// What the answer must be about.
pub(super) enum Expected {
    Minted { user_id: String, life: Duration },
    Revoked { id: ActorTokenId },
}

impl Expected {
    /// The token in a 200, if it is the one that was asked for.
    pub(super) fn decode(self, body: &[u8]) -> Result<ActorToken, Error> {
        let token = ActorToken::from_json(body).map_err(|error| undecodable(error, body))?;
        match self {
            Self::Minted { user_id, life } => match token.user_id() {
                Some(answered) if answered == user_id => Ok(token.expiring_after(life)),
                Some(_) => {
                    Err(unreadable("it is about another user").with_actor_token_id(Some(token.id)))
                }
                None => Err(unreadable("it does not say which user it is about")
                    .with_actor_token_id(Some(token.id))),
            },
            Self::Revoked { id } if *token.id() == id => Ok(token),
            Self::Revoked { .. } => Err(unreadable("it is about another token")),
        }
    }

    /// A revoke whose token turns out to be revoked has reached its goal when an earlier attempt of
    /// the same call may have done it.
    pub(super) fn converge(
        self,
        error: BoxError,
        progress: &Progress,
    ) -> Result<ActorToken, BoxError> {
        match (self, error.downcast_ref::<Error>()) {
            (Self::Revoked { id }, Some(typed))
                if typed.kind() == ErrorKind::AlreadyRevoked
                    && typed.outcome() == Outcome::Rejected
                    && progress.settled_outcome() >= Outcome::Unknown =>
            {
                Ok(ActorToken::new(id, ActorTokenStatus::Revoked))
            }
            _ => Err(error),
        }
    }
}

/// The error of a 200 that does not decode. Without any trace of a token it may be no answer of the
/// API at all.
fn undecodable(error: InvalidActorToken, body: &[u8]) -> Error {
    let id = ActorToken::salvage_id(body);
    let applied = error.is_whole() || id.is_some();
    unreadable(&error.to_string())
        .with_outcome(if applied {
            Outcome::Applied
        } else {
            Outcome::Unknown
        })
        .with_actor_token_id(id)
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorKind::UnreadableAnswer, Outcome::Applied)
        .with_status(StatusCode::OK)
        .with_detail(why)
}
