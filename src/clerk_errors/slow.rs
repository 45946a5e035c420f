//! The reading of [`read`](super::read) once more, slow and plain, and the promise that both agree.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value};

use super::{ClerkError, ClerkErrors};
use crate::text::presentable;

fn errors_of(body: &Value) -> Option<ClerkErrors> {
    let errors = body.get("errors").and_then(Value::as_array);
    let errors = errors.map(|errors| errors.iter().take(32).map(error_of).collect());
    let trace_id = body.get("clerk_trace_id").and_then(Value::as_str);
    let trace_id = trace_id.map(presentable);
    let trace_id = trace_id.filter(|id| !id.trim().is_empty());
    (errors.is_some() || trace_id.is_some()).then(|| ClerkErrors {
        errors: errors.unwrap_or_default(),
        clerk_trace_id: trace_id,
    })
}

fn error_of(entry: &Value) -> ClerkError {
    let text = |key| {
        let text = entry.get(key).and_then(Value::as_str);
        text.map(presentable).unwrap_or_default()
    };
    let meta = entry.get("meta").and_then(Value::as_object);
    let meta = meta.map(|meta| cleaned_map(meta, 4)).unwrap_or_default();
    let is_small = serde_json::to_string(&meta).unwrap().len() <= 1024;
    ClerkError {
        code: text("code"),
        message: text("message"),
        long_message: text("long_message"),
        meta: if is_small { meta } else { Map::new() },
    }
}

fn cleaned(value: &Value, levels: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => Value::Null,
        Value::String(text) => presentable(text).into(),
        Value::Array(items) => {
            let items = items.iter().take(32);
            items.map(|item| cleaned(item, levels - 1)).collect()
        }
        Value::Object(map) => cleaned_map(map, levels - 1).into(),
        other => other.clone(),
    }
}

fn cleaned_map(map: &Map<String, Value>, levels: usize) -> Map<String, Value> {
    map.iter()
        .take(32)
        .map(|(key, value)| (presentable(key), cleaned(value, levels)))
        .collect()
}

/// Texts, most of them of a kind that is treated somehow.
fn text() -> impl Strategy<Value = String> {
    let piece = select(vec!["sk_", "s", "k_a", " ", "é", "\u{202e}", "\0", "\"\\"]);
    prop_oneof![
        "[a-z_]{0,12}",
        "[ -~]{0,30}",
        any::<String>(),
        vec(piece, 0..6).prop_map(|pieces| pieces.concat()),
        "[x€]{495,505}",
    ]
}

/// A text as JSON, every other time with nothing but escapes.
fn json_of(text: &str, escaped: bool) -> String {
    if !escaped {
        return Value::from(text).to_string();
    }
    let units: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    format!("\"{units}\"")
}

fn json_text() -> impl Strategy<Value = String> {
    (text(), any::<bool>()).prop_map(|(text, escaped)| json_of(&text, escaped))
}

fn object_of(members: Vec<(String, String)>) -> String {
    let members: Vec<_> = members
        .into_iter()
        .map(|(key, value)| format!("{key} :{value}"))
        .collect();
    format!("{{ {}}}", members.join(", "))
}

fn array_of(items: Vec<String>) -> String {
    format!("[{} ]", items.join(" , "))
}

/// A list or an object about as long as what is kept of it.
fn long() -> impl Strategy<Value = String> {
    let items = 31..35_usize;
    prop_oneof![
        items
            .clone()
            .prop_map(|count| array_of(vec!["{}".to_owned(); count])),
        vec(("\"[a-z]{3}\"", "[1-9]"), items).prop_map(object_of),
    ]
}

/// A number as deep down as what is kept, or a little deeper.
fn deep() -> impl Strategy<Value = String> {
    let nested = |levels: Vec<bool>| {
        levels
            .into_iter()
            .fold("7".to_owned(), |inner, is_list| match is_list {
                true => array_of(vec![inner]),
                false => object_of(vec![("\"k\"".to_owned(), inner)]),
            })
    };
    vec(any::<bool>(), 2..6).prop_map(nested)
}

/// Any JSON.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        8 => json_text(),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => any::<f32>().prop_map(|number| Value::from(number).to_string()),
        2 => select(vec!["null", "true", "1e30", "-0", "[]", "{}"]).prop_map(str::to_owned),
        2 => long(),
        2 => deep(),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(array_of),
            vec((json_text(), inner), 0..3).prop_map(object_of),
        ]
    })
}

fn meta() -> impl Strategy<Value = String> {
    let members = vec((json_text(), json()), 0..3);
    prop_oneof![3 => members.prop_map(object_of), 1 => long()]
}

/// An entry of the array: mostly an object, in which fields may be odd, missing, or there twice.
fn entry() -> impl Strategy<Value = String> {
    let known = select(vec!["code", "message", "long_message", "meta"]);
    let key = prop_oneof![
        6 => (known, any::<bool>()).prop_map(|(key, escaped)| json_of(key, escaped)),
        1 => json_text(),
    ];
    let value = prop_oneof![3 => json_text(), 1 => meta(), 1 => json()];
    prop_oneof![
        8 => vec((key, value), 0..8).prop_map(object_of),
        1 => json(),
    ]
}

fn body() -> impl Strategy<Value = String> {
    let errors = prop_oneof![
        8 => vec(entry(), 0..3).prop_map(array_of),
        1 => long(),
        1 => json(),
    ];
    let trace_id = prop_oneof![4 => json_text(), 1 => json()];
    let members = (errors, option::of(trace_id), option::of(json()));
    let members = members.prop_map(|(errors, trace_id, other)| {
        let members = [
            ("\"errors\"", Some(errors)),
            ("\"clerk_trace_id\"", trace_id),
            ("\"other\"", other),
        ];
        let present = members.into_iter();
        present
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect::<Vec<_>>()
    });
    members.prop_shuffle().prop_map(object_of)
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_body_reads_as_its_value_does(body in body()) {
        let value: Value = serde_json::from_str(&body).expect("what is JSON");
        let read = ClerkErrors::from_json(body.as_bytes());
        prop_assert_eq!(&read, &errors_of(&value));
        // What no reader takes elsewhere changes nothing.
        let odd = body.replacen('{', r#"{"clerk_trace_id":1e400,"#, 1);
        prop_assert_eq!(ClerkErrors::from_json(odd.as_bytes()), read);
    }

    #[test]
    fn any_details_read_as_their_value_does(meta in meta()) {
        let body = format!(r#"{{"errors":[{{"meta":{meta}}}]}}"#);
        let value: Value = serde_json::from_str(&body).expect("what is JSON");
        prop_assert_eq!(ClerkErrors::from_json(body.as_bytes()), errors_of(&value));
    }
}
