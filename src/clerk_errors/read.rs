//! Reads the error body of the API: whatever cannot be read is absent.

use serde_json::{Map, Value, value::RawValue};

use super::{ClerkError, ClerkErrors};
use crate::{lenient, text::presentable};

const MAX_ERRORS: usize = 32;

/// The most entries that are kept of a list or an object in `meta`.
const MAX_ENTRIES: usize = 32;
/// The deepest nesting that is kept of `meta`, itself included.
const MAX_LEVELS: usize = 5;
/// The longest `meta` that is kept, as JSON.
const MAX_META_BYTES: usize = 1024;

impl ClerkErrors {
    /// Reads an error body. Returns `None` unless it is a JSON object with an array `errors` or with a
    /// trace id. Of a member that occurs twice, the last one counts.
    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        let body = String::from_utf8_lossy(body);
        let (mut errors, mut trace_id) = (None, None);
        lenient::members(&body, |name, value| match name {
            "errors" => errors = lenient::value::<Vec<&RawValue>>(value),
            "clerk_trace_id" => trace_id = lenient::text(value).map(presentable),
            _ => {}
        })
        .ok()?;
        let trace_id = trace_id.filter(|id| !id.trim().is_empty());
        if errors.is_none() && trace_id.is_none() {
            return None;
        }
        let errors = errors.into_iter().flatten().take(MAX_ERRORS);
        Some(Self {
            errors: errors.map(ClerkError::read).collect(),
            clerk_trace_id: trace_id,
        })
    }
}

impl ClerkError {
    /// Reads an entry. It is empty if it is not an object.
    fn read(entry: &RawValue) -> Self {
        let mut error = Self::default();
        let _ = lenient::members(entry.get(), |name, value| {
            let text = || lenient::text(value).map(presentable).unwrap_or_default();
            match name {
                "code" => error.code = text(),
                "message" => error.message = text(),
                "long_message" => error.long_message = text(),
                "meta" => error.meta = meta(value),
                _ => {}
            }
        });
        error
    }
}

/// Returns the details, or none if they are too long or not an object.
fn meta(value: &RawValue) -> Map<String, Value> {
    let meta = lenient::value(value).map(|meta| cleaned(meta, MAX_LEVELS));
    match meta {
        Some(Value::Object(meta)) if is_small(&meta) => meta,
        _ => Map::new(),
    }
}

fn is_small(meta: &Map<String, Value>) -> bool {
    serde_json::to_vec(meta).is_ok_and(|json| json.len() <= MAX_META_BYTES)
}

/// Makes every text presentable and applies the limits. What is nested too deeply becomes null.
fn cleaned(value: Value, levels: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => Value::Null,
        Value::String(text) => presentable(text).into(),
        Value::Array(items) => {
            let clean = |item| cleaned(item, levels - 1);
            items.into_iter().take(MAX_ENTRIES).map(clean).collect()
        }
        Value::Object(map) => {
            let clean = |(name, value)| (presentable(name), cleaned(value, levels - 1));
            map.into_iter().take(MAX_ENTRIES).map(clean).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(body: impl AsRef<[u8]>) -> ClerkErrors {
        let body = body.as_ref();
        ClerkErrors::from_json(body).unwrap_or_else(|| panic!("{}", body.escape_ascii()))
    }

    fn read_meta(meta: &Value) -> Map<String, Value> {
        let body = json!({"errors": [{"meta": meta}]});
        read(body.to_string()).errors.remove(0).meta
    }

    #[test]
    fn full_body_is_read() {
        let errors = read(
            br#"{"errors":[{"message":"is missing","long_message":"actor.sub must be included.","code":"form_param_missing","meta":{"param_name":"actor.sub"}}],"clerk_trace_id":"t1"}"#,
        );
        let error = ClerkError::new(
            "form_param_missing",
            "is missing",
            "actor.sub must be included.",
        );
        assert_eq!(errors.errors, [error.with_meta("param_name", "actor.sub")]);
        assert_eq!(errors.clerk_trace_id.as_deref(), Some("t1"));
        assert_eq!(errors.errors[0].to_string(), "actor.sub must be included.");
    }

    #[test]
    fn partial_or_wrong_entries_are_empty() {
        let errors = read(r#"{"errors":[{},7,null,{"code":7,"message":null,"meta":[]}]}"#).errors;
        assert_eq!(errors, [(); 4].map(|()| ClerkError::default()));
        assert_eq!(errors[0].to_string(), "no message");
    }

    #[test]
    fn unreadable_members_do_not_hide_the_code_and_the_trace_id() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        for odd in [b"1e400", &br#""\ud800""#[..], deep.as_bytes()] {
            for name in ["odd", "message", "long_message", "meta", r"\ud800"] {
                let odd = [b"\"", name.as_bytes(), b"\":", odd].concat();
                let body = [
                    b"{",
                    &odd[..],
                    br#","errors":[7,1e400,{"#,
                    &odd,
                    br#","c\u006fde":"a"}],"clerk_trace_id":"t"}"#,
                ];
                let errors = read(body.concat());
                let entries = ["", "", "a"].map(|code| ClerkError::new(code, "", ""));
                assert_eq!(errors.errors, entries);
                assert_eq!(errors.clerk_trace_id.as_deref(), Some("t"));
            }
        }
        let garbled = read(b"{\"errors\":[{\"message\":\"a\xff\"}],\"clerk_trace_id\":1e400}");
        assert_eq!(garbled.errors, [ClerkError::new("", "a\u{fffd}", "")]);
    }

    #[test]
    fn last_of_two_members_counts() {
        let errors = read(
            r#"{"errors":[{"code":"a","code":"b"}],"clerk_trace_id":"t","errors":[{"code":"c"},{}],"clerk_trace_id":"u"}"#,
        );
        assert_eq!((errors.code(), errors.errors.len()), (Some("c"), 2));
        assert_eq!(errors.clerk_trace_id.as_deref(), Some("u"));
    }

    #[test]
    fn trace_id_is_kept_without_errors() {
        for value in ["{}", "null", "7", "1e400", r#""\ud800""#, "[]"] {
            for name in ["errors", "other"] {
                let errors = read(format!(r#"{{"{name}":{value},"clerk_trace_id":"t"}}"#));
                assert_eq!(errors.clerk_trace_id.as_deref(), Some("t"));
                assert!(errors.errors.is_empty());
            }
        }
    }

    #[test]
    fn blank_trace_id_is_absent() {
        for blank in ["", " ", r"\u0007\n", r"\u200b "] {
            let errors = read(format!(r#"{{"errors":[],"clerk_trace_id":"{blank}"}}"#));
            assert_eq!(errors.clerk_trace_id, None, "{blank}");
        }
    }

    #[test]
    fn body_without_errors_and_trace_id_is_none() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"errors":{}}"#,
            r#"{"errors":null}"#,
            r#"{"errors":1e400}"#,
            r#"{"errors":{},"clerk_trace_id":""}"#,
            r#"[[{"code":"x"}],"t"]"#,
            r#"[{"errors":[{"code":"x"}]}]"#,
            r#"{"errors":[{"code":"x"}]} x"#,
            r#"{"errors":[{"code":"x"}]"#,
        ] {
            assert_eq!(ClerkErrors::from_json(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn errors_are_capped() {
        for entry in ["{}", r#"{"message":1e400}"#] {
            let entries = vec![entry; 100_000].join(",");
            assert_eq!(
                read(format!(r#"{{"errors":[{entries}]}}"#)).errors.len(),
                32
            );
        }
    }

    #[test]
    fn meta_is_kept_up_to_a_kibibyte() {
        for (len, kept) in [(0, true), (198, true), (199, false), (400, false)] {
            let meta = json!({"a": "\"\\".repeat(200), "b": ["é", "x".repeat(len), 1.5]});
            assert_eq!(meta.to_string().len(), 826 + len);
            let expected = meta.as_object().filter(|_| kept).cloned();
            assert_eq!(read_meta(&meta), expected.unwrap_or_default(), "{len}");
        }
    }

    #[test]
    fn meta_is_cleaned_and_capped() {
        let many: Map<_, _> = (10..50).map(|n| (n.to_string(), n.into())).collect();
        let meta = read_meta(&json!({
            "sk_a": "\u{1b}sk_b",
            "deep": [[[[1], [[1]]]]],
            "list": vec![7; 40],
            "map": many,
        }));
        assert_eq!(meta["sk_[redacted]"], "sk_[redacted]");
        assert_eq!(meta["deep"], json!([[[[1], [null]]]]));
        assert_eq!(meta["list"], json!(vec![7; 32]));
        assert_eq!(meta["map"].as_object().unwrap().len(), 32);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_texts_are_read_and_made_presentable(texts in any::<[String; 5]>()) {
            let [code, message, long_message, name, value] = texts;
            let body = json!({"errors": [{
                "meta": {(&name): value},
                "long_message": long_message,
                "message": message,
                "code": code,
            }]});
            let [code, message, long, name, value] =
                [code, message, long_message, name, value].map(presentable);
            let error = ClerkError::new(code, message, long).with_meta(name, value);
            prop_assert_eq!(read(body.to_string()).errors, [error]);
        }
    }
}
