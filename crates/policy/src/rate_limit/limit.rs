//! [`Limit`], one rule of a rate limit.

use std::{borrow::Cow, fmt, num::NonZeroU32, time::Duration};

use clerk_actor_tokens::{ActorTokenRequest, Operation};
use serde::{Deserialize, Serialize};

use crate::Principal;

/// The bytes of an id that a key holds, so that a table of keys is bounded. Longer ids share a key.
const MAX_ID: usize = 256;

/// The creates that one limit counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitBy {
    /// The `sub` of the actor.
    Actor,
    /// The user to sign in as.
    Subject,
    /// The [`Principal`] who asks. All creates without one are counted together.
    Principal,
    /// Nothing: all creates are counted together.
    Global,
}

impl LimitBy {
    /// Returns it as one word, as in errors and metrics: `actor`, `subject`, `principal` or `global`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Subject => "subject",
            Self::Principal => "principal",
            Self::Global => "global",
        }
    }
}

impl fmt::Display for LimitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One limit: so many creates in a time, and so many at once.
///
/// serde reads it, with `per` in seconds, and refuses unknown fields.
///
/// ```
/// use clerk_actor_tokens_policy::{Limit, LimitBy};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     limits: Vec<Limit>,
/// }
///
/// let config: Config = toml::from_str(
///     r#"
///     limits = [
///         { by = "actor", calls = 10, per = 60, burst = 3 },
///         { by = "global", calls = 100, per = 10 },
///     ]
///     "#,
/// )?;
/// assert_eq!(config.limits[0].by(), LimitBy::Actor);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    by: LimitBy,
    calls: NonZeroU32,
    per: NonZeroSeconds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct NonZeroSeconds(Duration);

impl TryFrom<u32> for NonZeroSeconds {
    type Error = &'static str;

    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        match seconds {
            0 => Err("`per` is at least one second"),
            _ => Ok(Self(Duration::from_secs(seconds.into()))),
        }
    }
}

impl From<NonZeroSeconds> for u32 {
    fn from(seconds: NonZeroSeconds) -> Self {
        Self::try_from(seconds.0.as_secs()).unwrap_or(Self::MAX)
    }
}

impl Limit {
    /// Allows `calls` creates `per` this time, and as many at once.
    pub fn new(by: LimitBy, calls: NonZeroU32, per: Duration) -> Self {
        Self {
            by,
            calls,
            per: NonZeroSeconds(per),
            burst: None,
        }
    }

    /// Sets how many creates are allowed at once. Default: all of the time.
    #[must_use]
    pub fn burst(mut self, burst: NonZeroU32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Returns what it counts together.
    pub fn by(&self) -> LimitBy {
        self.by
    }

    /// Returns the rule with this number, which makes its keys unique.
    pub(super) fn rule(self, number: usize) -> Rule {
        let nanos = self.per.0.as_nanos().div_ceil(self.calls.get().into());
        Rule {
            by: self.by,
            prefix: format!("{number}:{}:", self.by).into(),
            interval: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
            burst: self.burst.unwrap_or(self.calls).get(),
        }
    }
}

/// A limit as a layer applies it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) by: LimitBy,
    /// The beginning of its keys.
    prefix: Box<str>,
    /// The time in which one unit is refilled, rounded up.
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

impl Rule {
    /// Returns the key of the units for a create.
    pub(super) fn key(&self, request: &ActorTokenRequest) -> Cow<'_, str> {
        let principal: Option<&Principal> = request.extensions().get();
        let id = match (self.by, request.operation()) {
            (LimitBy::Actor, Operation::Create(create)) => create.actor().sub(),
            (LimitBy::Subject, Operation::Create(create)) => create.user_id(),
            (LimitBy::Principal, _) => principal.map_or("", |principal| &principal.id),
            _ => "",
        };
        // White space does not make another user.
        let id = id.trim();
        let end = (0..=MAX_ID.min(id.len())).rfind(|end| id.is_char_boundary(*end));
        let id = &id[..end.unwrap_or_default()];
        match id {
            "" => Cow::Borrowed(&self.prefix),
            id => [&self.prefix, id].concat().into(),
        }
    }
}
