//! Reads the body of a request. The object of a create is closed: unknown fields are refused. Only
//! the actor may hold any claim, which is kept unchanged.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::{Buf, Bytes};
use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited, combinators};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, value::RawValue};

use super::response::refusal;
use crate::{
    Actor, BoxError, ClerkError, CreateActorToken, Error, InvalidRequest, text::presentable,
};

/// The longest request body that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

const EXPIRES_IN: &str = "expires_in_seconds";
const SESSION_MAX_DURATION: &str = "session_max_duration_in_seconds";

/// A request body that is being read. [`bytes()`] returns its content.
pub(super) type Collect<B> = combinators::Collect<Limited<B>>;

/// Starts to read a body, unless it announces more than the limit.
pub(super) fn collect<B: Body<Error: Into<BoxError>>>(body: B) -> Result<Collect<B>, Error> {
    if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return Err(too_long());
    }
    Ok(Limited::new(body, MAX_REQUEST_BYTES).collect())
}

/// Returns the bytes of a body that was read. Trailers are ignored.
pub(super) fn bytes<D: Buf>(body: Result<Collected<D>, BoxError>) -> Result<Bytes, Error> {
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(_) => Err(unreadable("The request body is incomplete.")),
    }
}

/// Reads a body.
#[cfg(feature = "sandbox")]
pub(crate) async fn read<B: Body<Error: Into<BoxError>>>(body: B) -> Result<Bytes, Error> {
    bytes(collect(body)?.await)
}

fn too_long() -> Error {
    let (code, message) = ("request_body_invalid", "request body too long");
    let entry = ClerkError::new(code, message, "The request body is longer than 64 KiB.");
    refusal(StatusCode::PAYLOAD_TOO_LARGE, entry)
}

fn unreadable(sentence: &str) -> Error {
    let (code, message) = ("request_body_invalid", "request body invalid");
    refusal(
        StatusCode::BAD_REQUEST,
        ClerkError::new(code, message, sentence),
    )
}

/// Decodes the body of a create.
pub(super) fn decode(json: &[u8]) -> Result<CreateActorToken, Error> {
    let fields: Fields = serde_json::from_slice(json)
        .map_err(|_| unreadable("The request body is not one JSON object."))?;
    if let Some(name) = fields.unknown {
        let name = presentable(name);
        let sentence = format!("{name} is not a parameter of this request.");
        return Err(of_field(
            "form_param_unknown",
            "is unknown",
            &name,
            &sentence,
        ));
    }
    let user_id = fields.user_id.ok_or_else(|| missing_field("user_id"))?;
    let actor = fields.actor.ok_or_else(|| missing_field("actor"))?;
    let user_id: String = serde_json::from_str(user_id.get())
        .map_err(|_| invalid_field("user_id", "user_id must be a string."))?;
    let mut create = CreateActorToken::new(user_id, decode_actor(actor)?);
    if let Some(lifetime) = seconds(EXPIRES_IN, fields.expires_in)? {
        create = create.expires_in(lifetime);
    }
    if let Some(lifetime) = seconds(SESSION_MAX_DURATION, fields.session_max_duration)? {
        create = create.session_max_duration(lifetime);
    }
    validate(&create)?;
    Ok(create)
}

/// Checks what the client checks before it sends, and returns the error of the API.
pub(crate) fn validate(create: &CreateActorToken) -> Result<(), Error> {
    create.validate().map_err(|error| {
        let field = match error {
            InvalidRequest::EmptyUserId => "user_id",
            InvalidRequest::EmptySub | InvalidRequest::ShadowedSub => "actor.sub",
            InvalidRequest::Lifetime { field } => field,
            _ => "actor",
        };
        invalid_field(field, &error.to_string())
    })
}

fn missing_field(name: &str) -> Error {
    let sentence = format!("{name} must be included.");
    of_field("form_param_missing", "is missing", name, &sentence)
}

fn invalid_field(name: &str, sentence: &str) -> Error {
    of_field("form_param_value_invalid", "is invalid", name, sentence)
}

fn of_field(code: &str, message: &str, name: &str, sentence: &str) -> Error {
    let entry = ClerkError::new(code, message, sentence).with_meta("param_name", name);
    refusal(StatusCode::UNPROCESSABLE_ENTITY, entry)
}

fn decode_actor(value: &RawValue) -> Result<Actor, Error> {
    let invalid = |sentence| invalid_field("actor", sentence);
    let parsed: Value = serde_json::from_str(value.get())
        .map_err(|_| invalid("actor must be an object that is not nested too deeply."))?;
    let claims = parsed.as_object();
    let claims = claims.ok_or_else(|| invalid("actor must be an object."))?;
    let sub = claims.get("sub");
    if !sub.ok_or_else(|| missing_field("actor.sub"))?.is_string() {
        return Err(invalid_field("actor.sub", "actor.sub must be a string."));
    }
    // Parsed again from the text, because the map above has dropped all but the last `sub`.
    serde_json::from_str(value.get()).map_err(|_| invalid("actor must have one sub."))
}

/// Decodes a lifetime in whole seconds. `null` means the default, like an absent field.
fn seconds(name: &str, value: Option<&RawValue>) -> Result<Option<Duration>, Error> {
    let json = value.map_or("null", RawValue::get);
    let seconds: Option<u64> = serde_json::from_str(json)
        .map_err(|_| invalid_field(name, &format!("{name} must be a positive integer.")))?;
    Ok(seconds.map(Duration::from_secs))
}

/// The fields of a create, undecoded, so that each error can name its field.
#[derive(Default)]
struct Fields<'a> {
    user_id: Option<&'a RawValue>,
    actor: Option<&'a RawValue>,
    expires_in: Option<&'a RawValue>,
    session_max_duration: Option<&'a RawValue>,
    /// The first field that is none of the above.
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

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            // Readers differ in which of two equal fields they use, so neither is used.
            if field.replace(map.next_value()?).is_some() {
                return Err(de::Error::custom("duplicate field"));
            }
        }
        Ok(fields)
    }
}
