//! [`Policy`], an authorizer by rules, which are data.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use clerk_actor_tokens::{BoxError, CreateActorToken, Operation};
use http::StatusCode;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use super::{
    Ask, Authorizer, Decision, Denial, Narrowing,
    list::{List, Pattern, Refused},
};
use crate::Principal;

/// Rules about who may impersonate whom, for how long, and with which reason.
///
/// serde reads it, such as from TOML, and refuses unknown fields. A rule that is left out refuses nothing,
/// except those that always hold. Ids are compared without outer white space; one that ends with `*` is the
/// beginning of ids, and `group:support` names a group of the [`Principal`].
///
/// | rule, as in an error | a create is refused |
/// |---|---|
/// | `principal` | with 401, without a principal |
/// | `impersonated_principal` | if the principal is itself impersonated, or the actor has a claim `act` |
/// | `self_impersonation` | of the actor or the principal itself |
/// | `keys` | by a named key (a principal via [`Principal::KEY`]) that may not claim the actor |
/// | `actor` | by any other principal that is not the actor |
/// | `actors.deny`, `actors.allow` | by a denied actor, principal or group; by an actor that is not allowed, nor by its group |
/// | `subjects.deny`, `subjects.allow` | of a denied user; of a user that is not allowed |
/// | `reason` | with 422, without a reason |
/// | `reason.min_length`, `reason.pattern` | with 422, if the reason is too short in characters, or does not match |
///
/// Other operations are allowed.
///
/// ```
/// use clerk_actor_tokens_policy::Policy;
///
/// let policy: Policy = toml::from_str(
///     r#"
///     version = "2026-11-30"
///
///     ## Seconds. The default applies where a request sets none, and a longer lifetime is lowered.
///     lifetime = { default = 300, longest = 900 }
///     session = { default = 600, longest = 1800 }
///
///     [reason]
///     via = ["console"] # of principals that were authenticated so; of all if it is left out
///     min_length = 10
///     pattern = "^[A-Z]+-[0-9]+"
///
///     [actors]
///     allow = ["group:support", "bot_*"]
///     deny = ["user_former_colleague"]
///
///     [subjects]
///     deny = ["user_ceo"]
///
///     [keys]
///     helpdesk = ["user_*"] # the actors that a named key may claim
///     "#,
/// )?;
/// assert_eq!(policy.version(), "2026-11-30");
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Rules", into = "Rules")]
pub struct Policy {
    rules: Rules,
    pattern: Option<Regex>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    version: Arc<str>,
    lifetime: Limits,
    session: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonRule>,
    #[serde(default)]
    actors: List,
    #[serde(default)]
    subjects: List,
    #[serde(default)]
    keys: BTreeMap<String, Vec<Pattern>>,
}

/// Lifetimes in seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    default: NonZeroU32,
    longest: NonZeroU32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    via: Option<Vec<String>>,
    #[serde(default)]
    min_length: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

/// Why rules are not a [`Policy`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// The version is empty or long: it is part of every token.
    #[error("the version of a policy has 1 to {max} bytes", max = Policy::MAX_VERSION)]
    Version,
    /// The default is above the longest lifetime, or above the API's default.
    #[error(
        "{rule}.default must be at most {rule}.longest and at most {api} seconds, the API's default"
    )]
    Default {
        /// The name of the rule.
        rule: &'static str,
        /// The lifetime that the API sets, in seconds.
        api: u64,
    },
    /// The pattern of the reason is not a regular expression.
    #[error("reason.pattern is not a regular expression: {reason}")]
    Pattern {
        /// The error of the regular expression.
        reason: String,
    },
    /// A list names a group where only users can be named.
    #[error("{rule} cannot name a group, only actors can")]
    Group {
        /// The name of the rule.
        rule: &'static str,
    },
}

impl TryFrom<Rules> for Policy {
    type Error = InvalidPolicy;

    fn try_from(rules: Rules) -> Result<Self, InvalidPolicy> {
        if rules.version.is_empty() || rules.version.len() > Self::MAX_VERSION {
            return Err(InvalidPolicy::Version);
        }
        for (rule, limits, api) in [
            ("lifetime", rules.lifetime, Narrowing::API_LIFETIME),
            ("session", rules.session, Narrowing::API_SESSION_LIFETIME),
        ] {
            let api = api.as_secs();
            if limits.default > limits.longest || u64::from(limits.default.get()) > api {
                return Err(InvalidPolicy::Default { rule, api });
            }
        }
        if rules.subjects.has_groups() {
            return Err(InvalidPolicy::Group { rule: "subjects" });
        }
        if rules.keys.values().flatten().any(Pattern::is_group) {
            return Err(InvalidPolicy::Group { rule: "keys" });
        }
        let pattern = rules.reason.as_ref().and_then(|it| it.pattern.as_deref());
        let pattern = pattern.map(Regex::new).transpose();
        let pattern = pattern.map_err(|error| InvalidPolicy::Pattern {
            reason: error.to_string(),
        })?;
        Ok(Self { rules, pattern })
    }
}

impl From<Policy> for Rules {
    fn from(policy: Policy) -> Self {
        policy.rules
    }
}

impl Policy {
    /// The longest version, in bytes.
    const MAX_VERSION: usize = 64;

    /// Returns the version of the rules.
    pub fn version(&self) -> &str {
        &self.rules.version
    }

    pub(crate) fn shared_version(&self) -> Arc<str> {
        Arc::clone(&self.rules.version)
    }

    /// Decides about a call.
    pub fn decide(&self, ask: &Ask<'_>) -> Decision {
        let decided = match ask.operation() {
            Operation::Create(create) => self.check(ask, create),
            _ => Ok(Narrowing::default()),
        };
        match decided {
            Ok(narrowing) => Decision::Allow(narrowing),
            Err(denial) => Decision::Deny(denial),
        }
    }

    fn check(&self, ask: &Ask<'_>, create: &CreateActorToken) -> Result<Narrowing, Denial> {
        let missing = Denial::new("principal", "No principal was authenticated for this call.");
        let unauthenticated = missing.status(StatusCode::UNAUTHORIZED);
        let principal = ask.principal().ok_or(unauthenticated)?;
        self.check_actor(create, principal)?;
        self.check_lists(create, principal)?;
        self.check_reason(ask.reason(), principal)?;
        let lifetime = self.rules.lifetime.limit(create.lifetime());
        let session = self.rules.session.limit(create.session_lifetime());
        Ok(Narrowing::default()
            .lifetime(lifetime)
            .session_lifetime(session))
    }

    /// Checks who the actor is.
    fn check_actor(&self, create: &CreateActorToken, principal: &Principal) -> Result<(), Denial> {
        let (actor, user) = (create.actor(), create.user_id().trim());
        let sub = actor.sub().trim();
        if principal.act.is_some() || actor.claims().contains_key("act") {
            let sentence = "A user who is impersonated cannot impersonate others.";
            return Err(Denial::new("impersonated_principal", sentence));
        }
        if [sub, &principal.id].contains(&user) {
            let sentence = "An actor cannot impersonate itself.";
            return Err(Denial::new("self_impersonation", sentence));
        }
        if &*principal.via == Principal::KEY {
            let claimable = self.rules.keys.get(&*principal.id).into_iter().flatten();
            if !claimable.into_iter().any(|it| it.names(sub)) {
                let sentence = "This key cannot claim this actor.";
                return Err(Denial::new("keys", sentence));
            }
        } else if sub != &*principal.id {
            let sentence = "The actor is not the principal who asks.";
            return Err(Denial::new("actor", sentence));
        }
        Ok(())
    }

    fn check_lists(&self, create: &CreateActorToken, principal: &Principal) -> Result<(), Denial> {
        let actors = &self.rules.actors;
        let actor = actors.check_actor(create.actor().sub().trim(), principal);
        let subject = self.rules.subjects.check_user(create.user_id().trim());
        let (rule, sentence) = match (actor, subject) {
            (Some(Refused::Deny), _) => ("actors.deny", "This actor is denied impersonation."),
            (Some(Refused::Allow), _) => {
                ("actors.allow", "This actor is not allowed impersonation.")
            }
            (None, Some(Refused::Deny)) => ("subjects.deny", "This user cannot be impersonated."),
            (None, Some(Refused::Allow)) => (
                "subjects.allow",
                "This user is not among those who can be impersonated.",
            ),
            (None, None) => return Ok(()),
        };
        Err(Denial::new(rule, sentence))
    }

    fn check_reason(&self, reason: Option<&str>, principal: &Principal) -> Result<(), Denial> {
        let applies = |it: &&ReasonRule| {
            let via = it.via.as_ref();
            via.is_none_or(|via| via.iter().any(|via| **via == *principal.via))
        };
        let Some(rule) = self.rules.reason.as_ref().filter(applies) else {
            return Ok(());
        };
        let invalid = |rule, sentence: String| {
            Err(Denial::new(rule, sentence).status(StatusCode::UNPROCESSABLE_ENTITY))
        };
        let Some(reason) = reason else {
            return invalid("reason", "A reason is required.".into());
        };
        if reason.chars().count() < rule.min_length {
            let sentence = format!("A reason has at least {} characters.", rule.min_length);
            return invalid("reason.min_length", sentence);
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(reason) => {
                let sentence = format!("The reason does not match {pattern}.");
                invalid("reason.pattern", sentence)
            }
            _ => Ok(()),
        }
    }
}

impl Limits {
    /// Returns the longest lifetime of a request that sets this one.
    fn limit(self, set: Option<Duration>) -> Duration {
        let limit = match set {
            Some(_) => self.longest,
            None => self.default,
        };
        Duration::from_secs(limit.get().into())
    }
}

impl Authorizer for Policy {
    async fn authorize(&self, ask: Ask<'_>) -> Result<Decision, BoxError> {
        Ok(self.decide(&ask))
    }

    fn authorize_now(&self, ask: &Ask<'_>) -> Option<Decision> {
        Some(self.decide(ask))
    }
}
