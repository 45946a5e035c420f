//! [`Expected`], what the answer to an operation must be about.

use std::time::Duration;

use http::StatusCode;

use crate::{
    ActorToken, ActorTokenId, ActorTokenStatus, BoxError, Error, ErrorKind, InvalidActorToken,
    Outcome, actor_token::Reading, call::CallRecord,
};

/// What the answer must be about.
pub(super) enum Expected {
    Minted { user_id: String, life: Duration },
    Revoked { id: ActorTokenId },
}

impl Expected {
    /// The token in a 200, if it is the one that was asked for.
    pub(super) fn decode(self, body: &[u8]) -> Result<ActorToken, BoxError> {
        let mut token = ActorToken::read(body, |reading| self.token(reading));
        if let Err(error) = &mut token {
            if let Some(invalid) = error.downcast_ref::<InvalidActorToken>() {
                *error = undecodable(invalid, body).into();
            }
        }
        token
    }

    /// What was asked for need not be copied out of the answer.
    fn token(self, reading: Reading<'_>) -> Result<ActorToken, BoxError> {
        match self {
            Self::Minted { user_id, life } => {
                let id = reading.id().to_id();
                match reading.user_id() {
                    Some(answered) if answered == user_id => {
                        let actor = reading.actor()?;
                        Ok(reading.into_token(id, Some(user_id), actor, Some(life)))
                    }
                    Some(_) => Err(other("it is about another user", Some(id))
                        .with_foreign_token()
                        .into()),
                    None => Err(other("it does not say which user it is about", Some(id)).into()),
                }
            }
            Self::Revoked { id } if reading.id().as_str() == id.as_str() => {
                let user_id = reading.user_id().map(str::to_owned);
                let actor = reading.actor()?;
                Ok(reading.into_token(id, user_id, actor, None))
            }
            Self::Revoked { .. } => Err(other("it is about another token", None).into()),
        }
    }

    /// A revoke whose token turns out to be revoked has reached its goal when an earlier attempt of
    /// the same call may have done it.
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

/// The error of a 200 that does not decode. Without any trace of a token it may be no answer of the
/// API at all.
fn undecodable(error: &InvalidActorToken, body: &[u8]) -> Error {
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

/// The error of a 200 about something else, perhaps about this token.
fn other(why: &str, id: Option<ActorTokenId>) -> Error {
    unreadable(why).with_actor_token_id(id)
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorKind::UnreadableAnswer, Outcome::Applied)
        .with_status(StatusCode::OK)
        .with_detail(why)
}
