//! Lenient reading of JSON: an unreadable value counts as absent.
//!
//! Values are read as [`RawValue`]s first, which accept any type and depth, and numbers (`1e400`) and escapes
//! (`"\ud800"`) that serde_json cannot represent. So one odd value does not make the rest unreadable.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Returns the value, or `None` if it is not a readable `T`.
pub(crate) fn value<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A text, borrowed unless it contains escapes. A bare `Cow` would always be owned.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Returns the text, or `None` if the value is not a readable string.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    value(raw).map(|Text(text)| text)
}

/// Calls `visit` for every member of the object `json`. An unreadable name is empty.
///
/// # Errors
///
/// When `json` is not one object. `visit` is called for the members before the error.
pub(crate) fn members<'a>(
    json: &'a str,
    visit: impl FnMut(&str, &'a RawValue),
) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_map(Members(visit))?;
    reader.end()
}

struct Members<F>(F);

impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            (self.0)(&text(name).unwrap_or_default(), value);
        }
        Ok(())
    }
}
