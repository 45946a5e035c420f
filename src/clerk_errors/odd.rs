//! Error bodies of which something is odd: taken apart before any of it is read, so that what no
//! reader takes costs nothing else.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use super::{ClerkError, details::details, read::CappedVisitor};
use crate::{
    lenient::{self, Text},
    text::presentable,
};

/// What is read of an object, member by member. Of one that stands there twice the last counts.
trait Object<'a>: Default {
    fn member(&mut self, name: &str, value: &'a RawValue);
}

/// The members of an error body.
#[derive(Default)]
pub(super) struct OddBody<'a> {
    pub(super) errors: Option<Vec<ClerkError>>,
    pub(super) clerk_trace_id: Text<'a>,
}

impl<'a> OddBody<'a> {
    /// `None` when `body` is not one JSON object.
    pub(super) fn read(body: &'a str) -> Option<Self> {
        object(body)
    }
}

impl<'a> Object<'a> for OddBody<'a> {
    fn member(&mut self, name: &str, value: &'a RawValue) {
        match name {
            "errors" => self.errors = entries(value.get()),
            "clerk_trace_id" => self.clerk_trace_id = Text::of(value),
            _ => {}
        }
    }
}

impl Object<'_> for ClerkError {
    fn member(&mut self, name: &str, value: &RawValue) {
        let text = match name {
            "code" => &mut self.code,
            "message" => &mut self.message,
            "long_message" => &mut self.long_message,
            "meta" => {
                self.meta = details(serde_json::from_str(value.get()).unwrap_or_default());
                return;
            }
            _ => return,
        };
        *text = Text::of(value).0.map(presentable).unwrap_or_default();
    }
}

/// The entries of an array.
fn entries(array: &str) -> Option<Vec<ClerkError>> {
    let mut json = serde_json::Deserializer::from_str(array);
    json.deserialize_seq(CappedVisitor(PhantomData::<OddEntry<'_>>))
        .ok()?
}

/// An entry as it stands there.
#[derive(Deserialize)]
struct OddEntry<'a>(#[serde(borrow)] &'a RawValue);

/// Empty where it is no object.
impl From<OddEntry<'_>> for ClerkError {
    fn from(OddEntry(entry): OddEntry<'_>) -> Self {
        object(entry.get()).unwrap_or_default()
    }
}

/// What is read of the object that `json` is, if it is one.
fn object<'a, T: Object<'a>>(json: &'a str) -> Option<T> {
    let mut json = serde_json::Deserializer::from_str(json);
    let object = json.deserialize_map(ObjectVisitor(PhantomData)).ok()?;
    json.end().ok()?;
    Some(object)
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Object<'de>> de::Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some((name, value)) = lenient::next_member(&mut map)? {
            object.member(&name, value);
        }
        Ok(object)
    }
}
