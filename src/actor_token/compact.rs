//! Answers as the API writes them: compact JSON, in which nothing is escaped.

use memchr::memchr;
use serde_json::value::RawValue;

use super::wire::Wire;
use crate::lenient::Text;

impl<'a> Wire<'a> {
    /// The fields in `json`, if they can be told without looking at every byte: there is no escape in
    /// it, and no space but in texts. `None` says nothing of `json`, which is then `serde_json`'s to
    /// read; what is read here, that would read alike.
    pub(super) fn of_compact(json: &'a str) -> Option<Self> {
        // Without a way out of the loop it is done many bytes at a time. What comes nearest to a backslash
        // is one, where nothing is left of the difference.
        let (lowest, nearest) = json
            .bytes()
            .fold((u8::MAX, u8::MAX), |(lowest, nearest), byte| {
                (lowest.min(byte), nearest.min(byte ^ b'\\'))
            });
        if lowest < b' ' || nearest == 0 {
            return None;
        }
        let mut wire = Self::default();
        let rest = Rest(json).object(|name, rest| wire.read(name, rest.value()?))?;
        rest.0.is_empty().then_some(wire)
    }

    fn read(&mut self, name: &str, value: Value<'a>) -> Option<()> {
        match (name, value) {
            ("id", Value::Text(id)) if self.id.0.is_none() => self.id = Text::from(id),
            ("user_id", Value::Text(text)) => self.user_id = Text::from(text),
            ("status", Value::Text(text)) => self.status = Text::from(text),
            ("token", Value::Text(text)) => self.token = Text::from(text),
            ("token", Value::Null) => self.token = Text::default(),
            ("url", Value::Text(text)) => self.url = Text::from(text),
            ("url", Value::Null) => self.url = Text::default(),
            ("actor", Value::Other(actor)) => self.actor = Some(actor),
            ("created_at", Value::Number(time)) => self.created_at = Some(time),
            ("updated_at", Value::Number(time)) => self.updated_at = Some(time),
            // One of them is odd.
            ("id" | "user_id" | "status" | "token" | "url", _) => return None,
            ("actor" | "created_at" | "updated_at", _) => return None,
            _ => {}
        }
        Some(())
    }
}

enum Value<'a> {
    Null,
    Number(u64),
    Text(&'a str),
    Other(&'a str),
}

/// What is still to be read of a text without escapes.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// What follows the object that begins here, each of whose values `read` has to read.
    fn object(mut self, mut read: impl FnMut(&'a str, &mut Self) -> Option<()>) -> Option<Self> {
        self.skip("{")?;
        loop {
            let name = self.text()?;
            self.skip(":")?;
            read(name, &mut self)?;
            if self.skip("}").is_some() {
                return Some(self);
            }
            self.skip(",")?;
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.0.as_bytes().first()? {
            b'"' => self.text().map(Value::Text),
            b'1'..=b'9' => self.number().map(Value::Number),
            b'n' => self.skip("null").map(|()| Value::Null),
            _ => self.other().map(Value::Other),
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        self.skip("\"")?;
        let (text, rest) = self.0.split_at_checked(memchr(b'"', self.0.as_bytes())?)?;
        self.0 = rest.get(1..)?;
        Some(text)
    }

    /// A number of so few digits that it fits.
    fn number(&mut self) -> Option<u64> {
        let (mut end, mut number) = (0, 0);
        for byte in self.0.bytes().take(19) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number * 10 + u64::from(digit);
            end += 1;
        }
        self.0 = self.0.get(end..)?;
        Some(number)
    }

    fn other(&mut self) -> Option<&'a str> {
        let texts = self.object(|_, rest| rest.text().map(drop));
        if let Some(rest) = texts {
            let (object, _) = self.0.split_at(self.0.len() - rest.0.len());
            *self = rest;
            return Some(object);
        }
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter::<&RawValue>();
        let value = values.next()?.ok()?;
        self.0 = self.0.get(values.byte_offset()..)?;
        Some(value.get())
    }

    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const MINTED: &str = r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2","reason":"é"},"status":"pending","token":"eyJ","url":"https://x/?ticket=eyJ","created_at":1700000000123,"updated_at":17}"#;
    const REVOKED: &str = r#"{"id":"act_1","actor":{"sub":"a","n":[1,{}]},"token":null,"url":null,"status":"revoked","new":[true],"more":{"id":"b"},"at":-1.5,"created_at":9999999999999999999}"#;

    /// Whether `json` is read here. If it is, `serde_json` reads it alike.
    fn is_read(json: &str) -> bool {
        let Some(wire) = Wire::of_compact(json) else {
            return false;
        };
        assert_eq!(serde_json::from_str(json).ok(), Some(wire), "{json}");
        true
    }

    #[test]
    fn what_the_api_writes_is_read_here() {
        for json in [
            MINTED,
            REVOKED,
            r#"{"id":"a"}"#,
            r#"{"url":"","token":""}"#,
            r#"{"a":{},"b":[{"c":"}"}],"d":true,"":"{"}"#,
            r#"{"token":"a","token":null,"url":null,"url":"b"}"#,
            r#"{"token":null,"token":"a","url":"b","url":null}"#,
        ] {
            assert!(is_read(json), "{json}");
        }
        let deep = format!("{}0{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        assert!(is_read(&format!(r#"{{"id":"a","actor":{deep}}}"#)));
    }

    #[test]
    fn what_needs_a_second_look_is_not_read_here() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"id":"a"} "#,
            r#"{ "id":"a"}"#,
            r#"{"id":"a\u0062"}"#,
            "{\"id\":\"a\tb\"}",
            r#"{"id":"a","id":"b"}"#,
            r#"{"id":null}"#,
            r#"{"id":"a","created_at":01}"#,
            r#"{"id":"a","created_at":1e3}"#,
            r#"{"id":"a","created_at":18446744073709551616}"#,
            r#"{"id":"a","created_at":NaN}"#,
            r#"{"id":"a","actor":7}"#,
            r#"{"id":"a","status":{}}"#,
            r#"{"id":"a",}"#,
            r#"{"id":"a","x":{"y":"z",}}"#,
            r#"{"id":"a""#,
        ] {
            assert!(!is_read(json), "{json}");
        }
    }

    #[test]
    fn with_any_character_changed_it_is_read_as_by_serde_json() {
        for json in [MINTED, REVOKED] {
            for (at, changed) in json.char_indices() {
                let (before, rest) = json.split_at(at);
                let after = &rest[changed.len_utf8()..];
                is_read(before);
                is_read(&format!("{before}{after}"));
                for other in ' '..='~' {
                    is_read(&format!("{before}{other}{after}"));
                    is_read(&format!("{before}{other}{rest}"));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read_as_by_serde_json(
            pieces in vec(
                select(vec![
                    "{", "}", "[", "]", ":", ",", "\"", "\\", " ", "é", "null", "true", "-", "0", "17",
                    ".5", "e2", "\"a\"", "\"id\":", "\"actor\":", "\"created_at\":", "\"token\":\"t\"",
                ]),
                0..12,
            ),
        ) {
            let text = pieces.concat();
            is_read(&text);
            is_read(&format!("{{{text}}}"));
            is_read(&format!(r#"{{"id":"a","actor":{{{text}}},"b":{text}}}"#));
        }
    }
}
