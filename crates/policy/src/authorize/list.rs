//! [`Pattern`] and [`List`], how rules name users and groups.

use serde::{Deserialize, Serialize};

use crate::Principal;

/// A user in a rule: an id, the beginning of ids followed by `*`, or `group:` and the name of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) enum Pattern {
    Id(String),
    Prefix(String),
    Group(String),
}

const GROUP: &str = "group:";

impl TryFrom<String> for Pattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Ids are compared without it, so that a pattern with it would name none.
        let text = text.trim();
        let (start, is_prefix) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        if start.contains('*') {
            return Err("a pattern has `*` as its last character only");
        }
        Ok(match (start.strip_prefix(GROUP), is_prefix) {
            (Some(""), _) => return Err("`group:` is followed by the name of a group"),
            (Some(_), true) => return Err("the name of a group has no `*`"),
            (Some(group), false) => Self::Group(group.to_owned()),
            (None, true) => Self::Prefix(start.to_owned()),
            (None, false) if start.is_empty() => return Err("a pattern is not empty"),
            (None, false) => Self::Id(text.to_owned()),
        })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        match pattern {
            Pattern::Id(id) => id,
            Pattern::Prefix(start) => start + "*",
            Pattern::Group(group) => GROUP.to_owned() + &group,
        }
    }
}

impl Pattern {
    /// Returns whether it names this id. A group names no id.
    pub(super) fn names(&self, id: &str) -> bool {
        match self {
            Self::Id(it) => it == id,
            Self::Prefix(start) => id.starts_with(start),
            Self::Group(_) => false,
        }
    }

    fn names_group_of(&self, principal: &Principal) -> bool {
        matches!(self, Self::Group(group) if principal.groups.iter().any(|it| **it == **group))
    }

    pub(super) fn is_group(&self) -> bool {
        matches!(self, Self::Group(_))
    }
}

/// The users that are allowed and denied. A denied one is refused even if it is allowed. Without `allow`
/// all others are allowed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<Pattern>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deny: Vec<Pattern>,
}

/// The part of a [`List`] that refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Deny,
    Allow,
}

impl List {
    /// Checks a user.
    pub(super) fn check_user(&self, id: &str) -> Option<Refused> {
        self.check(|pattern| pattern.names(id), |pattern| pattern.names(id))
    }

    /// Checks an actor and the principal that asks. Either can be denied. The actor or a group of the
    /// principal must be allowed.
    pub(super) fn check_actor(&self, sub: &str, principal: &Principal) -> Option<Refused> {
        let is_allowed =
            |pattern: &Pattern| pattern.names(sub) || pattern.names_group_of(principal);
        let is_denied = |pattern: &Pattern| is_allowed(pattern) || pattern.names(&principal.id);
        self.check(is_denied, is_allowed)
    }

    fn check(
        &self,
        is_denied: impl Fn(&Pattern) -> bool,
        is_allowed: impl Fn(&Pattern) -> bool,
    ) -> Option<Refused> {
        let allow = self.allow.as_ref();
        if self.deny.iter().any(is_denied) {
            Some(Refused::Deny)
        } else {
            let is_missing = allow.is_some_and(|allow| !allow.iter().any(is_allowed));
            is_missing.then_some(Refused::Allow)
        }
    }

    pub(super) fn has_groups(&self) -> bool {
        let allow = self.allow.iter().flatten();
        allow.chain(&self.deny).any(Pattern::is_group)
    }
}
