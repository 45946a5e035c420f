//! [`Wire`], the fields of a token in an answer.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::lenient::Text;

/// The fields that are read. An array in its place is refused, which a derived visitor would take.
#[derive(Default)]
pub(super) struct Wire<'a> {
    pub(super) id: Text<'a>,
    pub(super) user_id: Text<'a>,
    pub(super) status: Text<'a>,
    pub(super) token: Text<'a>,
    pub(super) url: Text<'a>,
    pub(super) actor: Option<&'a RawValue>,
    pub(super) created_at: Option<&'a RawValue>,
    pub(super) updated_at: Option<&'a RawValue>,
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

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WireVisitor(PhantomData))
    }
}

struct WireVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> de::Visitor<'de> for WireVisitor<'a> {
    type Value = Wire<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an actor token")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Wire<'a>, A::Error> {
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
                Field::Actor => wire.actor = Some(map.next_value()?),
                Field::CreatedAt => wire.created_at = Some(map.next_value()?),
                Field::UpdatedAt => wire.updated_at = Some(map.next_value()?),
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
