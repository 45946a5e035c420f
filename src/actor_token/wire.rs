//! An actor token as JSON, and the id that is salvaged from a response that does not decode.

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{ActorToken, ActorTokenStatus, Ticket};
use crate::{Actor, ActorTokenId, OperationKind, Payload, lenient};

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
    #[serde(borrow, deserialize_with = "text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    /// In milliseconds since 1970.
    #[serde(deserialize_with = "millis", skip_serializing_if = "Option::is_none")]
    created_at: Option<u64>,
    #[serde(deserialize_with = "millis", skip_serializing_if = "Option::is_none")]
    updated_at: Option<u64>,
    /// The API does not send it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

impl<'a> Wire<'a> {
    /// Returns the fields of the API without the credential.
    fn without_ticket(token: &'a ActorToken) -> Self {
        Self {
            object: "actor_token",
            id: Some(token.id.as_str().into()),
            user_id: token.user_id().map(Cow::Borrowed),
            actor: token.actor().map(Cow::Borrowed),
            status: Some(token.status.as_str().into()),
            created_at: token.created_at.and_then(to_millis),
            updated_at: token.updated_at.and_then(to_millis),
            ..Self::default()
        }
    }
}

impl Serialize for ActorToken {
    /// Leaves the credential out, so that it claims nothing.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let expires_at = self.expires_at.and_then(to_millis);
        let wire = Wire::without_ticket(self);
        Wire { expires_at, ..wire }.serialize(to)
    }
}

fn text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    let mut text = None;
    json.deserialize_any(Slot::Text(&mut text))?;
    Ok(text)
}

fn millis<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    let mut millis = None;
    json.deserialize_any(Slot::Millis(&mut millis))?;
    Ok(millis)
}

fn actor<'de, 'a, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'a, Actor>>, D::Error> {
    let mut actor = None;
    json.deserialize_any(Slot::Actor(&mut actor))?;
    Ok(actor.map(Cow::Owned))
}

/// The place for the value of a field. It stays empty if the value has another type.
enum Slot<'a, 'de> {
    Text(&'a mut Option<Cow<'de, str>>),
    Millis(&'a mut Option<u64>),
    Actor(&'a mut Option<Actor>),
}

impl<'de> Visitor<'de> for Slot<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        if let Self::Text(text) = self {
            *text = Some(Cow::Borrowed(value));
        }
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        if let Self::Text(text) = self {
            *text = Some(Cow::Owned(value.to_owned()));
        }
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        if let Self::Millis(millis) = self {
            *millis = Some(value);
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // An unreadable actor is refused, even if it is not an object.
        while matches!(self, Self::Actor(_)) && seq.next_element::<Value>()?.is_some() {}
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Self::Actor(actor) = self {
            *actor = Actor::read(map)?;
            return Ok(());
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl ActorToken {
    /// Reads a token from JSON as the API sends it. Only the `id` is required. Any other field that is
    /// null, missing or of the wrong type is absent.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON object that serde_json can read, when it has no valid `id`, or when
    /// a field of the token occurs twice.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidActorToken> {
        Self::read(json, None, &mut None)
    }

    /// Reads a token from JSON. An expected id is shared, and an expected user id moved, instead of copied.
    pub(crate) fn read(
        json: &[u8],
        expected_id: Option<&ActorTokenId>,
        expected_user: &mut Option<String>,
    ) -> Result<Self, InvalidActorToken> {
        // A derived struct also accepts an array of its fields.
        if json.trim_ascii_start().starts_with(b"[") {
            return Err(InvalidActorToken(Reason::Array));
        }
        let wire: Wire<'_> = match std::str::from_utf8(json) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(json),
        }
        .map_err(InvalidActorToken::json)?;
        let id = wire.id.and_then(|id| match expected_id {
            Some(expected) if *expected.as_str() == *id => Some(expected.clone()),
            _ => id.parse().ok(),
        });
        Ok(Self {
            id: id.ok_or(InvalidActorToken(Reason::Id))?,
            user_id: wire.user_id.map(|user_id| {
                let expected = expected_user.take_if(|it| *it == user_id);
                expected.unwrap_or_else(|| user_id.into_owned())
            }),
            actor: wire.actor.map(Cow::into_owned),
            status: wire.status.as_deref().unwrap_or_default().into(),
            ticket: Ticket::new(wire.token.as_deref(), wire.url.as_deref()),
            created_at: wire.created_at.and_then(to_time),
            updated_at: wire.updated_at.and_then(to_time),
            expires_at: None,
            lifetime: None,
        })
    }

    /// Returns the token as the API's JSON, **with its credential**, for services that pass it on, and
    /// [claims](Ticket::claim) the token.
    pub fn expose_json(&self) -> Vec<u8> {
        let ticket = self.ticket();
        let wire = Wire {
            token: ticket.and_then(Ticket::expose_token).map(Cow::Borrowed),
            url: ticket.and_then(Ticket::expose_url).map(Cow::Borrowed),
            ..Wire::without_ticket(self)
        };
        // Strings, numbers and maps with string keys always encode.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Reads `response` as far as it is JSON and returns the first `id`, `user_id` and `status` in its
    /// object. Nested ids, as in `actor`, do not count.
    pub(crate) fn salvage(response: &[u8]) -> Option<Salvaged> {
        // Invalid bytes, a byte order mark or an array around the object must not hide the id.
        let response = String::from_utf8_lossy(response);
        let object = response
            .trim_start_matches(|c: char| c == '\u{feff}' || c == '[' || c.is_ascii_whitespace());
        let (mut id, mut user_id, mut status) = (None, None, None);
        // The error does not matter: the members before it were read.
        let _ = lenient::members(object, |name, value| match name {
            "id" => _ = id.get_or_insert_with(|| lenient::text(value)),
            "user_id" => _ = user_id.get_or_insert_with(|| lenient::text(value)),
            "status" => _ = status.get_or_insert_with(|| lenient::text(value)),
            _ => {}
        });
        Some(Salvaged {
            id: id??.parse().ok()?,
            user_id: user_id
                .flatten()
                .filter(|user_id| !user_id.contains(char::REPLACEMENT_CHARACTER))
                .map(Cow::into_owned),
            status: status.flatten().map(Cow::into_owned),
        })
    }
}

pub(crate) fn to_time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

pub(crate) fn to_millis(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// The fields of a response that does not decode.
pub(crate) struct Salvaged {
    pub(crate) id: ActorTokenId,
    pub(crate) user_id: Option<String>,
    pub(crate) status: Option<String>,
}

impl Salvaged {
    /// Returns whether an unusable 200 shows that the request took effect, because it names the token of
    /// the request.
    pub(crate) fn shows_effect_of(&self, payload: &Payload) -> bool {
        match payload.kind() {
            OperationKind::Create => !self.is_about_another_user(payload),
            OperationKind::Revoke => {
                let is_revoked = |it: &String| it == ActorTokenStatus::Revoked.as_str();
                payload.id().is_none_or(|id| *id == self.id)
                    && self.status.as_ref().is_none_or(is_revoked)
            }
            #[cfg(feature = "sessions")]
            OperationKind::ListSessions | OperationKind::EndSession => false,
        }
    }

    /// Returns whether the response to a create names another user. A layer may have replaced the body of
    /// the request by one of another form, which names none.
    pub(crate) fn is_about_another_user(&self, create: &Payload) -> bool {
        #[derive(Deserialize)]
        struct Create {
            user_id: String,
        }
        self.user_id.as_ref().is_some_and(|user_id| {
            serde_json::from_slice(create.as_bytes()).is_ok_and(|it: Create| it.user_id != *user_id)
        })
    }
}

/// Why a text is not the JSON of an actor token. The message does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct InvalidActorToken(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("the response ends early, at line {line}, column {column}")]
    Incomplete { line: usize, column: usize },
    #[error("the response is not the JSON of a token, at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("the response is an array, not a token")]
    Array,
    #[error("the response has no valid id")]
    Id,
}

impl InvalidActorToken {
    /// Keeps only the position, because the text may hold a credential.
    fn json(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self(match error.is_eof() {
            true => Reason::Incomplete { line, column },
            false => Reason::Json { line, column },
        })
    }
}
