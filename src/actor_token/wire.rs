//! [`Wire`], the fields of a token in an answer.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use super::odd_time::OddTime;
use crate::lenient::Text;

/// The fields that are read, with times as `T`. An array in its place is refused, which a derived
/// visitor would take.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct Wire<'a, T = Option<u64>> {
    pub(super) id: Text<'a>,
    pub(super) user_id: Text<'a>,
    pub(super) status: Text<'a>,
    pub(super) token: Text<'a>,
    pub(super) url: Text<'a>,
    /// As it stands there.
    pub(super) actor: Option<&'a str>,
    pub(super) created_at: T,
    pub(super) updated_at: T,
}

impl<'a> From<Wire<'a, OddTime<'a>>> for Wire<'a> {
    fn from(odd: Wire<'a, OddTime<'a>>) -> Self {
        Self {
            id: odd.id,
            user_id: odd.user_id,
            status: odd.status,
            token: odd.token,
            url: odd.url,
            actor: odd.actor,
            created_at: odd.created_at.millis(),
            updated_at: odd.updated_at.millis(),
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Id,
    UserId,
    Status,
    Token,
    Url,
    Actor,
    CreatedAt,
    UpdatedAt,
    #[serde(other)]
    Unknown,
}

impl<'de: 'a, 'a, T: Deserialize<'de> + Default> Deserialize<'de> for Wire<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WireVisitor(PhantomData))
    }
}

struct WireVisitor<'a, T>(PhantomData<(&'a (), T)>);

impl<'de: 'a, 'a, T: Deserialize<'de> + Default> de::Visitor<'de> for WireVisitor<'a, T> {
    type Value = Wire<'a, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an actor token")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut wire = Wire::default();
        let mut ids = 0;
        while let Some(field) = map.next_key()? {
            match field {
                Field::Id => {
                    wire.id = map.next_value()?;
                    ids += 1;
                }
                Field::UserId => wire.user_id = map.next_value()?,
                Field::Status => wire.status = map.next_value()?,
                Field::Token => wire.token = map.next_value()?,
                Field::Url => wire.url = map.next_value()?,
                Field::Actor => wire.actor = Some(map.next_value::<&RawValue>()?.get()),
                Field::CreatedAt => wire.created_at = map.next_value()?,
                Field::UpdatedAt => wire.updated_at = map.next_value()?,
                Field::Unknown => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        if ids > 1 {
            return Err(de::Error::duplicate_field("id"));
        }
        Ok(wire)
    }
}
