//! [`CreateActorToken`], what is to be minted.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::{Actor, InvalidRequest};

/// A token to be minted: who signs in as whom, and for how long.
///
/// Life times that are not set are left to the API: one hour for the token, 30 minutes for the
/// session. A link that is used at once needs no more than five minutes.
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::{Actor, CreateActorToken};
///
/// let create = CreateActorToken::new("user_subject", Actor::new("user_admin"))
///     .expires_in(Duration::from_secs(300))
///     .session_max_duration(Duration::from_secs(600));
/// assert!(create.validate().is_ok());
/// ```
#[derive(Clone, PartialEq, Serialize)]
pub struct CreateActorToken {
    user_id: String,
    actor: Actor,
    #[serde(
        rename = "expires_in_seconds",
        skip_serializing_if = "Option::is_none",
        serialize_with = "whole_seconds"
    )]
    expires_in: Option<Duration>,
    #[serde(
        rename = "session_max_duration_in_seconds",
        skip_serializing_if = "Option::is_none",
        serialize_with = "whole_seconds"
    )]
    session_max_duration: Option<Duration>,
}

impl CreateActorToken {
    /// The life of a token when the request does not say: one hour.
    pub(crate) const DEFAULT_LIFE: Duration = Duration::from_secs(3600);

    /// A token by which `actor` signs in as the user `user_id`.
    #[must_use]
    pub fn new(user_id: impl Into<String>, actor: Actor) -> Self {
        Self {
            user_id: user_id.into(),
            actor,
            expires_in: None,
            session_max_duration: None,
        }
    }

    /// How long the token can be used, in whole seconds. Default: the API's, one hour.
    #[must_use]
    pub fn expires_in(mut self, life: Duration) -> Self {
        self.expires_in = Some(life);
        self
    }

    /// How long the session lasts at most, in whole seconds. Default: the API's, 30 minutes.
    #[must_use]
    pub fn session_max_duration(mut self, life: Duration) -> Self {
        self.session_max_duration = Some(life);
        self
    }

    /// The id of the user to sign in as.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Who signs in.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// How long the token can be used, if the request says.
    #[must_use]
    pub fn life(&self) -> Option<Duration> {
        self.expires_in
    }

    /// How long the session lasts at most, if the request says.
    #[must_use]
    pub fn session_life(&self) -> Option<Duration> {
        self.session_max_duration
    }

    pub(crate) fn into_user_id(self) -> String {
        self.user_id
    }

    /// Checks what the stack checks before it sends anything.
    ///
    /// # Errors
    ///
    /// When the request cannot be right: an empty `user_id` or `sub`, a claim named `sub`, claims
    /// nested deeper than 64 levels, or a life time that is not 1 to 2³¹−1 whole seconds.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if self.user_id.chars().all(char::is_whitespace) {
            return Err(InvalidRequest::EmptyUserId);
        }
        self.actor.validate()?;
        check_life("expires_in_seconds", self.expires_in)?;
        check_life("session_max_duration_in_seconds", self.session_max_duration)
    }
}

fn check_life(field: &'static str, life: Option<Duration>) -> Result<(), InvalidRequest> {
    let is_right = |life: Duration| {
        life.subsec_nanos() == 0 && (1..=i32::MAX as u64).contains(&life.as_secs())
    };
    if life.is_none_or(is_right) {
        Ok(())
    } else {
        Err(InvalidRequest::Lifetime { field })
    }
}

fn whole_seconds<S: Serializer>(life: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    life.as_ref().map(Duration::as_secs).serialize(serializer)
}

impl fmt::Debug for CreateActorToken {
    /// Leaves out who signs in as whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateActorToken")
            .field("actor", &self.actor)
            .field("expires_in", &self.expires_in)
            .field("session_max_duration", &self.session_max_duration)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create() -> CreateActorToken {
        CreateActorToken::new("user_1", Actor::new("user_2"))
    }

    #[test]
    fn lifetimes_are_absent_when_unset() {
        let text = serde_json::to_string(&create()).unwrap();
        assert_eq!(text, r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#);
        let set = create()
            .expires_in(Duration::from_secs(300))
            .session_max_duration(Duration::from_secs(60));
        assert_eq!(
            serde_json::to_string(&set).unwrap(),
            r#"{"user_id":"user_1","actor":{"sub":"user_2"},"expires_in_seconds":300,"session_max_duration_in_seconds":60}"#
        );
    }

    #[test]
    fn lives_that_cannot_be_meant_are_refused() {
        let lives = [
            Duration::ZERO,
            Duration::from_millis(999),
            Duration::from_millis(1500),
            Duration::from_secs(1 << 31),
            Duration::from_secs(u64::MAX),
            Duration::MAX,
        ];
        for life in lives {
            let field = "expires_in_seconds";
            assert_eq!(
                create().expires_in(life).validate(),
                Err(InvalidRequest::Lifetime { field })
            );
            assert!(create().session_max_duration(life).validate().is_err());
        }
        assert_eq!(
            create().expires_in(Duration::from_secs(1)).validate(),
            Ok(())
        );
    }

    #[test]
    fn an_empty_user_id_is_refused() {
        let empty = CreateActorToken::new("", Actor::new("user_2"));
        assert_eq!(empty.validate(), Err(InvalidRequest::EmptyUserId));
    }
}
