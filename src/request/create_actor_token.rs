//! [`CreateActorToken`], the body of a create.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Actor;
use crate::InvalidRequest;

/// A token to mint: the user to sign in as, the actor, and the lifetimes.
///
/// Five minutes are enough for a link that is used immediately.
///
/// serde reads and writes the body that the API documents. It refuses unknown fields.
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
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateActorToken {
    pub(crate) user_id: String,
    actor: Actor,
    #[serde(
        default,
        rename = "expires_in_seconds",
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_seconds",
        deserialize_with = "read_seconds"
    )]
    expires_in: Option<Duration>,
    #[serde(
        default,
        rename = "session_max_duration_in_seconds",
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_seconds",
        deserialize_with = "read_seconds"
    )]
    session_max_duration: Option<Duration>,
}

impl CreateActorToken {
    /// The lifetime of a token if the request does not set it.
    pub(crate) const DEFAULT_LIFE: Duration = Duration::from_secs(3600);

    /// Creates a request for a token with which `actor` signs in as the user `user_id`.
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
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// Sets the longest duration of the session, in whole seconds. Default: 30 minutes, set by the API.
    #[must_use]
    pub fn session_max_duration(mut self, lifetime: Duration) -> Self {
        self.session_max_duration = Some(lifetime);
        self
    }

    /// Returns the id of the user to sign in as.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Returns the actor who signs in.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Returns the actor, to change it, as a layer does that adds claims.
    pub fn actor_mut(&mut self) -> &mut Actor {
        &mut self.actor
    }

    /// Returns the lifetime of the token, if it is set.
    pub fn lifetime(&self) -> Option<Duration> {
        self.expires_in
    }

    /// Returns the longest duration of the session, if it is set.
    pub fn session_lifetime(&self) -> Option<Duration> {
        self.session_max_duration
    }

    /// Returns the lifetime that the token will have.
    pub(crate) fn lifetime_or_default(&self) -> Duration {
        self.expires_in.unwrap_or(Self::DEFAULT_LIFE)
    }

    /// Checks the request. A client does so before it sends anything.
    ///
    /// # Errors
    ///
    /// When `user_id`, a claim or a lifetime is invalid, see [`InvalidRequest`].
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if self.user_id.chars().all(char::is_whitespace) {
            return Err(InvalidRequest::EmptyUserId);
        }
        self.actor.validate()?;
        check_lifetime("expires_in_seconds", self.expires_in)?;
        check_lifetime("session_max_duration_in_seconds", self.session_max_duration)
    }
}

fn check_lifetime(field: &'static str, lifetime: Option<Duration>) -> Result<(), InvalidRequest> {
    let is_valid = |lifetime: Duration| {
        lifetime.subsec_nanos() == 0 && (1..=i32::MAX as u64).contains(&lifetime.as_secs())
    };
    match lifetime.is_none_or(is_valid) {
        true => Ok(()),
        false => Err(InvalidRequest::Lifetime { field }),
    }
}

fn write_seconds<S: Serializer>(lifetime: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    lifetime.as_ref().map(Duration::as_secs).serialize(to)
}

fn read_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    Option::deserialize(from).map(|seconds| seconds.map(Duration::from_secs))
}

// Shows neither the user nor the `sub` of the actor.
crate::text::opaque_debug!(CreateActorToken, |it|
    actor: it.actor, expires_in: it.expires_in, session_max_duration: it.session_max_duration);
