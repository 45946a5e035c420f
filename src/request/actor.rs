//! [`Actor`], who signs in as a user.

use serde::{Deserialize, Serialize, de::MapAccess};
use serde_json::{Map, Value};

use crate::{InvalidRequest, lenient::Text};

/// The person or program that signs in as a user: a JSON object with a `sub` and any other claims.
///
/// Clerk copies the object into the `act` claim of the session. `sub` need not be the id of a Clerk user. The
/// numbers in it are integers of 64 bits and doubles, which are read and written exactly.
/// `Debug` shows neither `sub` nor the values of claims, because they may name people.
///
/// ```
/// use clerk_actor_tokens::Actor;
///
/// let actor = Actor::new("user_admin").claim("reason", "ticket 4711");
/// assert_eq!(actor.sub(), "user_admin");
/// assert_eq!(actor.claims()["reason"], "ticket 4711");
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    sub: String,
    #[serde(flatten)]
    claims: Map<String, Value>,
}

impl Actor {
    /// The deepest nesting of a claim.
    pub(crate) const MAX_DEPTH: usize = 64;

    /// Creates an actor with this `sub` and no other claims.
    pub fn new(sub: impl Into<String>) -> Self {
        Self {
            sub: sub.into(),
            claims: Map::new(),
        }
    }

    /// Reads the members of a JSON object. Returns `None` if `sub` is not a string. Separating `sub` from the
    /// claims here saves 600 instructions.
    pub(crate) fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let (mut sub, mut claims) = (None, Map::new());
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "sub" => sub = Some(map.next_value()?),
                _ => _ = claims.insert(name.into_owned(), map.next_value()?),
            }
        }
        Ok(match sub {
            Some(Value::String(sub)) => Some(Self { sub, claims }),
            _ => None,
        })
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(key.into(), value.into());
        self
    }

    /// Returns the id of the actor.
    pub fn sub(&self) -> &str {
        &self.sub
    }

    /// Returns the claims besides `sub`.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Returns the claims besides `sub`, to change them.
    pub fn claims_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.claims
    }

    pub(super) fn validate(&self) -> Result<(), InvalidRequest> {
        if self.sub.chars().all(char::is_whitespace) {
            return Err(InvalidRequest::EmptySub);
        }
        if self.claims.contains_key("sub") {
            return Err(InvalidRequest::ShadowedSub);
        }
        let limit = Self::MAX_DEPTH;
        let mut claims = self.claims.values();
        match claims.any(|claim| is_deeper_than(claim, limit)) {
            true => Err(InvalidRequest::DeepClaims { limit }),
            false => Ok(()),
        }
    }
}

/// Returns whether `value` nests deeper than `limit`, where the recursion ends.
fn is_deeper_than(value: &Value, limit: usize) -> bool {
    let is_deeper = |inner| is_deeper_than(inner, limit - 1);
    match value {
        Value::Array(_) | Value::Object(_) if limit == 0 => true,
        Value::Array(items) => items.iter().any(is_deeper),
        Value::Object(map) => map.values().any(is_deeper),
        _ => false,
    }
}

crate::text::opaque_debug!(Actor, |it| claims: it.claims.keys().collect::<Vec<_>>());
