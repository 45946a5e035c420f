//! [`Wire`], an actor token as JSON.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, value::RawValue};

use super::{ActorToken, InvalidActorToken, Ticket};
use crate::{Actor, lenient};

/// The fields of an actor token. A field that is null, missing or of the wrong type is absent.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(skip_deserializing)]
    object: &'static str,
    #[serde(borrow, deserialize_with = "text")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "actor", skip_serializing_if = "Option::is_none")]
    actor: Option<Cow<'a, Actor>>,
    #[serde(borrow, deserialize_with = "text")]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "credential")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "credential")]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    /// In milliseconds since 1970.
    #[serde(deserialize_with = "millis", skip_serializing_if = "Option::is_none")]
    created_at: Option<u64>,
    #[serde(deserialize_with = "millis", skip_serializing_if = "Option::is_none")]
    updated_at: Option<u64>,
}

fn text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    <&RawValue>::deserialize(json).map(lenient::text)
}

fn millis<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    <&RawValue>::deserialize(json).map(lenient::value)
}

/// Refuses a string that cannot be read, because the credential in it would be lost.
fn credential<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    let raw = <&RawValue>::deserialize(json)?;
    match lenient::text(raw) {
        None if raw.get().starts_with('"') => Err(D::Error::custom("unreadable credential")),
        text => Ok(text),
    }
}

/// Refuses a value that serde_json cannot read, because it may describe an actor.
fn actor<'de, 'a, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'a, Actor>>, D::Error> {
    let raw = <&RawValue>::deserialize(json)?;
    match lenient::value(raw) {
        Some(actor) => Ok(Some(Cow::Owned(actor))),
        None if lenient::value::<Value>(raw).is_some() => Ok(None),
        None => Err(D::Error::custom("unreadable actor")),
    }
}

impl ActorToken {
    /// Reads a token from JSON as the API sends it.
    ///
    /// Only the `id` is required. Any other field that is null, missing or of the wrong type is
    /// absent.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON object, when it has no valid `id`, when one of the token's fields
    /// occurs twice, or when a `token`, a `url` or the `actor` cannot be read: a string with half of a
    /// surrogate pair or, in the `actor`, a number beyond `f64` or more than 128 levels.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidActorToken> {
        // A derived struct accepts an array of its fields as well.
        if json.trim_ascii_start().starts_with(b"[") {
            return Err(InvalidActorToken::array());
        }
        let wire: Wire<'_> =
            serde_json::from_slice(json).map_err(|error| InvalidActorToken::json(&error))?;
        let id = wire.id.and_then(|id| id.parse().ok());
        Ok(Self {
            id: id.ok_or(InvalidActorToken::without_id())?,
            user_id: wire.user_id.map(Cow::into_owned),
            actor: wire.actor.map(Cow::into_owned),
            status: wire.status.as_deref().unwrap_or_default().into(),
            ticket: Ticket::new(wire.token.as_deref(), wire.url.as_deref()),
            created_at: wire.created_at.and_then(to_time),
            updated_at: wire.updated_at.and_then(to_time),
            expires_at: None,
        })
    }

    /// Returns the token as JSON **with its credential**, for services that pass it on. This
    /// [claims](Ticket::claim) the token.
    #[must_use]
    pub fn expose_json(&self) -> Vec<u8> {
        let ticket = self.ticket();
        let wire = Wire {
            object: "actor_token",
            id: Some(self.id.as_str().into()),
            user_id: self.user_id().map(Cow::Borrowed),
            actor: self.actor().map(Cow::Borrowed),
            status: Some(self.status.as_str().into()),
            token: ticket.and_then(Ticket::expose_token).map(Cow::Borrowed),
            url: ticket.and_then(Ticket::expose_url).map(Cow::Borrowed),
            created_at: self.created_at.and_then(to_millis),
            updated_at: self.updated_at.and_then(to_millis),
        };
        // Strings, numbers and maps with string keys always encode.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

fn to_time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn to_millis(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}
