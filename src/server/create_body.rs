//! The body of a create: closed, but for the actor, which is open and kept as it is.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, value::RawValue};

use super::refusal::Refusal;
use crate::{Actor, CreateActorToken, InvalidRequest};

/// Reads the body of a create.
pub(super) fn decode(json: &[u8]) -> Result<CreateActorToken, Refusal> {
    let fields: Fields = serde_json::from_slice(json)
        .map_err(|_| Refusal::unreadable("The request body is not one JSON object."))?;
    if let Some(name) = fields.unknown {
        return Err(Refusal::unknown_field(&name));
    }
    let user_id = required("user_id", fields.user_id)?;
    let actor = required("actor", fields.actor)?;
    let user_id = text("user_id", user_id)?;
    let mut create = CreateActorToken::new(user_id, decode_actor(actor)?);
    if let Some(life) = seconds(EXPIRES_IN, fields.expires_in)? {
        create = create.expires_in(life);
    }
    if let Some(life) = seconds(SESSION_MAX_DURATION, fields.session_max_duration)? {
        create = create.session_max_duration(life);
    }
    validate(&create)?;
    Ok(create)
}

/// What the client checks before it sends, as the API answers it.
pub(crate) fn validate(create: &CreateActorToken) -> Result<(), Refusal> {
    let error = match create.validate() {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let field = match error {
        InvalidRequest::EmptyUserId => "user_id",
        InvalidRequest::EmptySub | InvalidRequest::ShadowedSub => "actor.sub",
        InvalidRequest::Lifetime { field } => field,
        _ => "actor",
    };
    Err(Refusal::invalid_field(field, &error.to_string()))
}

const EXPIRES_IN: &str = "expires_in_seconds";
const SESSION_MAX_DURATION: &str = "session_max_duration_in_seconds";

fn required<'a>(name: &str, value: Option<&'a RawValue>) -> Result<&'a RawValue, Refusal> {
    value.ok_or_else(|| Refusal::missing_field(name))
}

fn text(name: &str, value: &RawValue) -> Result<String, Refusal> {
    serde_json::from_str(value.get())
        .map_err(|_| Refusal::invalid_field(name, &format!("{name} must be a string.")))
}

fn decode_actor(value: &RawValue) -> Result<Actor, Refusal> {
    let invalid = |sentence| Refusal::invalid_field("actor", sentence);
    let parsed: Value = serde_json::from_str(value.get())
        .map_err(|_| invalid("actor must be an object that is not nested too deeply."))?;
    match parsed.as_object().map(|actor| actor.get("sub")) {
        None => return Err(invalid("actor must be an object.")),
        Some(None) => return Err(Refusal::missing_field("actor.sub")),
        Some(Some(Value::String(_))) => {}
        Some(Some(_)) => {
            let sentence = "actor.sub must be a string.";
            return Err(Refusal::invalid_field("actor.sub", sentence));
        }
    }
    // Read again from the text: two `sub`s are refused here, where a map would keep the last.
    serde_json::from_str(value.get()).map_err(|_| invalid("actor must have one sub."))
}

/// A life time in whole seconds; null is as good as absent.
fn seconds(name: &str, value: Option<&RawValue>) -> Result<Option<Duration>, Refusal> {
    let Some(value) = value else {
        return Ok(None);
    };
    let seconds: Option<u64> = serde_json::from_str(value.get()).map_err(|_| {
        Refusal::invalid_field(name, &format!("{name} must be a positive integer."))
    })?;
    Ok(seconds.map(Duration::from_secs))
}

/// The fields as they stand, none twice.
#[derive(Default)]
struct Fields<'a> {
    user_id: Option<&'a RawValue>,
    actor: Option<&'a RawValue>,
    expires_in: Option<&'a RawValue>,
    session_max_duration: Option<&'a RawValue>,
    unknown: Option<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> de::Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the fields of a create")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let field = match &*name {
                "user_id" => &mut fields.user_id,
                "actor" => &mut fields.actor,
                EXPIRES_IN => &mut fields.expires_in,
                SESSION_MAX_DURATION => &mut fields.session_max_duration,
                _ => {
                    fields.unknown.get_or_insert(name.into_owned());
                    map.next_value::<de::IgnoredAny>()?;
                    continue;
                }
            };
            // Which of two counts would be for each reader to say: neither does.
            if field.replace(map.next_value()?).is_some() {
                return Err(de::Error::custom("a field stands there twice"));
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> (u16, String) {
        let refusal = decode(json.as_bytes()).expect_err(json);
        (refusal.status().as_u16(), refusal.code().into())
    }

    #[test]
    fn what_is_not_one_object_is_unreadable() {
        for json in [
            "",
            "null",
            "7",
            "[]",
            r#"["user_1",{"sub":"a"}]"#,
            r#"{"user_id":"#,
            r#"{"user_id":"u","actor":{"sub":"a"}} x"#,
            r#"{"user_id":"u","user_id":"v","actor":{"sub":"a"}}"#,
            r#"{"user_id":"u","actor":{"sub":"a"},"actor":{"sub":"a"}}"#,
        ] {
            assert_eq!(
                refused(json),
                (400, "request_body_invalid".into()),
                "{json}"
            );
        }
        assert!(decode(b"{\"user_id\":\"\xff\",\"actor\":{\"sub\":\"a\"}}").is_err());
    }

    #[test]
    fn odd_values_are_refused_field_by_field() {
        let odd = [
            "null",
            "7",
            "true",
            "\"\"",
            "\" \"",
            "[]",
            "{\"a\":1}",
            "1e400",
        ];
        for value in odd {
            let json = format!(r#"{{"user_id":{value},"actor":{{"sub":"a"}}}}"#);
            assert_eq!(refused(&json).1, "form_param_value_invalid", "{json}");
            let json = format!(r#"{{"user_id":"u","actor":{{"sub":{value}}}}}"#);
            assert_eq!(refused(&json).1, "form_param_value_invalid", "{json}");
        }
        for value in ["null", "7", "\"a\"", "[]", r#"{"sub":"a","sub":"b"}"#] {
            let json = format!(r#"{{"user_id":"u","actor":{value}}}"#);
            assert_eq!(refused(&json).1, "form_param_value_invalid", "{json}");
        }
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let json = format!(r#"{{"user_id":"u","actor":{{"sub":"a","d":{deep}}}}}"#);
        assert_eq!(refused(&json).1, "form_param_value_invalid");
    }

    #[test]
    fn lives_are_positive_integers_or_null() {
        for field in [EXPIRES_IN, SESSION_MAX_DURATION] {
            let json = |value: &str| {
                format!(r#"{{"user_id":"u","actor":{{"sub":"a"}},"{field}":{value}}}"#)
            };
            for value in [
                "0",
                "-1",
                "1.5",
                "60.0",
                "\"60\"",
                "true",
                "[60]",
                "{}",
                "2147483648",
                "1e3",
                "99999999999999999999",
            ] {
                assert_eq!(
                    refused(&json(value)).1,
                    "form_param_value_invalid",
                    "{value}"
                );
            }
            assert!(decode(json("60").as_bytes()).is_ok());
            let unset = decode(json("null").as_bytes()).unwrap();
            assert_eq!((unset.life(), unset.session_life()), (None, None));
        }
    }

    #[test]
    fn the_actor_is_kept_as_it_is() {
        let json = r#"{"user_id":"u","actor":{"sub":"cli:a@b","n":18446744073709551615,"f":0.5,"i":-3,"o":{"é":[null,true]},"user_id":"x"}}"#;
        let create = decode(json.as_bytes()).unwrap();
        let sent: Value = serde_json::from_slice(&serde_json::to_vec(&create).unwrap()).unwrap();
        assert_eq!(sent, serde_json::from_str::<Value>(json).unwrap());
    }
}
