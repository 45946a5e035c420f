//! Reads and decodes the body of a request. Unknown fields are refused, except the actor's claims, which
//! are passed on unchanged.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, value::RawValue};

use super::response::refusal;
use crate::{
    Actor, BoxError, ClerkError, CreateActorToken, Error, InvalidRequest, lenient,
    text::presentable,
};

const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Reads a body up to the limit. Trailers are ignored.
pub(crate) async fn read<B: Body<Error: Into<BoxError>>>(body: B) -> Result<Bytes, Error> {
    if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return Err(too_long());
    }
    match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(_) => Err(unreadable("The request body is incomplete.")),
    }
}

fn too_long() -> Error {
    let (code, message) = ("request_body_invalid", "request body too long");
    let entry = ClerkError::new(code, message, "The request body is longer than 64 KiB.");
    refusal(StatusCode::PAYLOAD_TOO_LARGE, entry)
}

fn unreadable(sentence: &str) -> Error {
    let entry = ClerkError::new("request_body_invalid", "request body invalid", sentence);
    refusal(StatusCode::BAD_REQUEST, entry)
}

/// Decodes the body of a create.
pub(super) fn decode(json: &[u8]) -> Result<CreateActorToken, Error> {
    let mut fields = BTreeMap::new();
    // Refused, because JSON readers differ in which value they use.
    let mut is_repeated = false;
    let json = std::str::from_utf8(json).unwrap_or_default();
    let read = lenient::members(json, |name, value| {
        is_repeated |= fields.insert(name.to_owned(), value).is_some();
    });
    if read.is_err() || is_repeated {
        return Err(unreadable("The request body is not one JSON object."));
    }
    let user_id = fields.remove("user_id");
    let actor = fields.remove("actor");
    let expires_in = take_seconds(&mut fields, "expires_in_seconds");
    let session_max_duration = take_seconds(&mut fields, "session_max_duration_in_seconds");
    if let Some((name, _)) = fields.pop_first() {
        let name = presentable(name);
        let sentence = format!("{name} is not a parameter of this request.");
        let (code, message) = ("form_param_unknown", "is unknown");
        return Err(of_field(code, message, &name, &sentence));
    }
    let user_id = user_id.ok_or_else(|| missing_field("user_id"))?;
    let actor = actor.ok_or_else(|| missing_field("actor"))?;
    let user_id: String = lenient::value(user_id)
        .ok_or_else(|| invalid_field("user_id", "user_id must be a string."))?;
    let mut create = CreateActorToken::new(user_id, decode_actor(actor)?);
    if let Some(lifetime) = expires_in? {
        create = create.expires_in(lifetime);
    }
    if let Some(lifetime) = session_max_duration? {
        create = create.session_max_duration(lifetime);
    }
    validate(&create)?;
    Ok(create)
}

/// Makes the checks of the client, but returns the API's errors.
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

pub(crate) fn invalid_field(name: &str, sentence: &str) -> Error {
    of_field("form_param_value_invalid", "is invalid", name, sentence)
}

fn of_field(code: &str, message: &str, name: &str, sentence: &str) -> Error {
    let entry = ClerkError::new(code, message, sentence).with_meta("param_name", name);
    refusal(StatusCode::UNPROCESSABLE_ENTITY, entry)
}

fn decode_actor(value: &RawValue) -> Result<Actor, Error> {
    lenient::value(value).ok_or_else(|| {
        let invalid = |sentence| invalid_field("actor", sentence);
        match lenient::value::<Value>(value) {
            None => invalid("actor must be an object that is not nested too deeply."),
            Some(Value::Object(claims)) => match claims.get("sub") {
                None => missing_field("actor.sub"),
                Some(Value::String(_)) => invalid("actor must have one sub."),
                Some(_) => invalid_field("actor.sub", "actor.sub must be a string."),
            },
            Some(_) => invalid("actor must be an object."),
        }
    })
}

/// Decodes a lifetime in seconds. `null` is the default, like an absent field.
fn take_seconds(
    fields: &mut BTreeMap<String, &RawValue>,
    name: &str,
) -> Result<Option<Duration>, Error> {
    let json = fields.remove(name).map_or("null", RawValue::get);
    let seconds: Option<u64> = serde_json::from_str(json)
        .map_err(|_| invalid_field(name, &format!("{name} must be a positive integer.")))?;
    Ok(seconds.map(Duration::from_secs))
}
