//! [`Wire`], the fields of a token in an answer.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::lenient::{self, Text};

/// The fields that are read, absent where something else stands. An array in place of the object is
/// refused, which a derived visitor would take.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct Wire<'a> {
    pub(super) id: Text<'a>,
    pub(super) user_id: Text<'a>,
    pub(super) status: Text<'a>,
    pub(super) token: Text<'a>,
    pub(super) url: Text<'a>,
    /// As it stands there.
    pub(super) actor: Option<&'a str>,
    /// In milliseconds since 1970.
    pub(super) created_at: Option<u64>,
    pub(super) updated_at: Option<u64>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WireVisitor)
    }
}

struct WireVisitor;

impl<'de> de::Visitor<'de> for WireVisitor {
    type Value = Wire<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an actor token")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut wire = Wire::default();
        let mut ids = 0;
        while let Some((name, value)) = lenient::next_member(&mut map)? {
            // One that cannot be read cannot be delivered.
            let credential = || Text::read(value).ok_or_else(|| de::Error::custom("no text"));
            match &*name {
                "id" => {
                    wire.id = Text::of(value);
                    ids += 1;
                }
                "user_id" => wire.user_id = Text::of(value),
                "status" => wire.status = Text::of(value),
                "token" => wire.token = credential()?,
                "url" => wire.url = credential()?,
                "actor" => wire.actor = Some(value.get()),
                "created_at" => wire.created_at = value.get().parse().ok(),
                "updated_at" => wire.updated_at = value.get().parse().ok(),
                _ => {}
            }
        }
        if ids > 1 {
            return Err(de::Error::duplicate_field("id"));
        }
        Ok(wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> serde_json::Result<Wire<'_>> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_field_whose_name_no_reader_takes_costs_nothing() {
        let wire = read(r#"{"\ud800":1,"id":"a","tok\u0065n":"t"}"#).unwrap();
        assert_eq!((wire.id, wire.token), (Text::from("a"), Text::from("t")));
    }

    #[test]
    fn a_credential_whose_text_is_none_is_refused_where_it_stands() {
        for field in ["token", "url"] {
            let json = format!("{{\"id\":\"a\",\n\"{field}\":\"marker\\ud800\",\"status\":\"b\"}}");
            let error = read(&json).unwrap_err();
            assert!(error.is_data() && error.line() == 2, "{error}");
            assert!(!error.to_string().contains("marker"), "{error}");
            for odd in ["1e400", "7", r#"["\ud800"]"#] {
                let json = format!(r#"{{"id":"a","{field}":{odd}}}"#);
                assert_eq!(read(&json).unwrap(), read(r#"{"id":"a"}"#).unwrap());
            }
        }
    }
}
