//! [`Lenient`], what is read of a value whatever stands in its place.

use std::{borrow::Cow, fmt, marker::PhantomData};

use memchr::memchr;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// What is of use of a value; nothing where something else stands.
pub(crate) trait Lenient<'de>: Default {
    /// Of a text, which is borrowed unless it has escapes in it.
    fn of_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }

    /// Of an object.
    fn of_object<A: de::MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object
            .next_entry::<de::IgnoredAny, de::IgnoredAny>()?
            .is_some()
        {}
        Ok(Self::default())
    }
}

/// Reads a value of any type.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Lenient<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(LenientVisitor(PhantomData))
}

/// A text, or nothing where something else stands.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Text<'a>(pub(crate) Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// Of a value as it stands there. `None` when it is a text that no reader takes: an escape in it
    /// stands for no character.
    pub(crate) fn read(value: &'a RawValue) -> Option<Self> {
        let quoted = value.get().strip_prefix('"');
        match quoted.and_then(|text| text.strip_suffix('"')) {
            Some(text) if memchr(b'\\', text.as_bytes()).is_none() => Some(text.into()),
            Some(_) => serde_json::from_str(value.get()).ok(),
            None => Some(Self::default()),
        }
    }

    /// The same, nothing where no reader takes it.
    pub(crate) fn of(value: &'a RawValue) -> Self {
        Self::read(value).unwrap_or_default()
    }
}

impl Text<'_> {
    pub(crate) fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Some(text.into()))
    }
}

impl<'de> Lenient<'de> for Text<'de> {
    fn of_text(text: Cow<'de, str>) -> Self {
        Self(Some(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

/// The next member of an object, its value as it stands there, so that one that no reader takes costs
/// the others nothing. A name that none takes is empty.
pub(crate) fn next_member<'de, A: de::MapAccess<'de>>(
    object: &mut A,
) -> Result<Option<(Cow<'de, str>, &'de RawValue)>, A::Error> {
    let member = object.next_entry::<&RawValue, &RawValue>()?;
    Ok(member.map(|(name, value)| (Text::of(name).0.unwrap_or_default(), value)))
}

struct LenientVisitor<T>(PhantomData<T>);

impl<'de, T: Lenient<'de>> de::Visitor<'de> for LenientVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::of_text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text.to_owned().into()))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        while list.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::of_object(object)
    }
}
