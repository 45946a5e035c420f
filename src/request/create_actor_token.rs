//! [`CreateActorToken`], the body of a create.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::{Actor, InvalidRequest};

/// A token to be minted: the actor, the user to sign in as, and the lifetimes.
///
/// The API's defaults apply to lifetimes that are not set: one hour for the token, 30 minutes for the
/// session. Five minutes are enough for a link that is used immediately.
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
    /// The lifetime of a token if the request does not set it.
    pub(crate) const DEFAULT_LIFE: Duration = Duration::from_secs(3600);

    /// Creates a request for a token with which `actor` signs in as the user `user_id`.
    #[must_use]
    pub fn new(user_id: impl Into<String>, actor: Actor) -> Self {
        Self {
            user_id: user_id.into(),
            actor,
            expires_in: None,
            session_max_duration: None,
        }
    }

    /// Sets the lifetime of the token, in whole seconds. Default: one hour, set by the API.
    #[must_use]
    pub fn expires_in(mut self, life: Duration) -> Self {
        self.expires_in = Some(life);
        self
    }

    /// Sets the longest duration of the session, in whole seconds. Default: 30 minutes, set by the API.
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

    /// The actor who signs in.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The lifetime of the token, if it is set.
    #[must_use]
    pub fn life(&self) -> Option<Duration> {
        self.expires_in
    }

    /// The longest duration of the session, if it is set.
    #[must_use]
    pub fn session_life(&self) -> Option<Duration> {
        self.session_max_duration
    }

    pub(crate) fn into_user_id(self) -> String {
        self.user_id
    }

    /// Checks the request. The stack does the same before it sends anything.
    ///
    /// # Errors
    ///
    /// When `user_id` or `sub` is empty, when a claim is named `sub` or nested deeper than 64 levels,
    /// or when a lifetime is not 1 to 2³¹−1 whole seconds.
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
    let is_valid = |life: Duration| {
        life.subsec_nanos() == 0 && (1..=i32::MAX as u64).contains(&life.as_secs())
    };
    if life.is_none_or(is_valid) {
        Ok(())
    } else {
        Err(InvalidRequest::Lifetime { field })
    }
}

fn whole_seconds<S: Serializer>(life: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    life.as_ref().map(Duration::as_secs).serialize(serializer)
}

impl fmt::Debug for CreateActorToken {
    /// Shows neither the user nor the `sub` of the actor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateActorToken")
            .field("actor", &self.actor)
            .field("expires_in", &self.expires_in)
            .field("session_max_duration", &self.session_max_duration)
            .finish_non_exhaustive()
    }
}
