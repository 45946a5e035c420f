//! The details of an error, cleaned and bounded.

use std::mem;

use serde_json::{Map, Value};

use crate::text::{is_plain, presentable};

/// How many entries of a list or an object are kept.
const MAX_ENTRIES: usize = 32;
const MAX_LEVELS: usize = 4;
const MAX_BYTES: usize = 1024;

/// The details in `meta`, none where something else than an object stands, or more than somebody may
/// read.
pub(super) fn details(meta: Value) -> Map<String, Value> {
    match meta {
        Value::Object(mut map) => {
            clean_map(&mut map, MAX_LEVELS);
            if is_small(&map) { map } else { Map::new() }
        }
        _ => Map::new(),
    }
}

/// Makes every text inside `value` presentable, and cuts every list and object to 32 entries and
/// `levels` levels.
fn clean(value: &mut Value, levels: usize) {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => *value = Value::Null,
        Value::String(text) => *text = presentable(mem::take(text)),
        Value::Array(items) => {
            items.truncate(MAX_ENTRIES);
            items.shrink_to_fit();
            items.iter_mut().for_each(|item| clean(item, levels - 1));
        }
        Value::Object(map) => clean_map(map, levels - 1),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn clean_map(map: &mut Map<String, Value>, levels: usize) {
    if map.len() > MAX_ENTRIES || !map.keys().all(|key| is_plain(key)) {
        let kept = mem::take(map).into_iter().take(MAX_ENTRIES);
        *map = kept.map(|(key, value)| (presentable(key), value)).collect();
    }
    map.values_mut().for_each(|value| clean(value, levels));
}

fn is_small(map: &Map<String, Value>) -> bool {
    serde_json::to_writer(&mut [0; MAX_BYTES][..], map).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::ClerkErrors;

    #[test]
    fn details_that_nobody_could_read_are_left_out() {
        let body = |len: usize| {
            let text = "x".repeat(400);
            let items = vec![format!("\"{text}\""); len].join(",");
            format!(r#"{{"errors":[{{"code":"c","meta":{{"list":[{items}]}}}}]}}"#)
        };
        let read = |len| {
            ClerkErrors::from_json(body(len).as_bytes())
                .unwrap()
                .errors
                .remove(0)
        };
        assert_eq!(read(2).meta["list"].as_array().unwrap().len(), 2);
        assert!(read(3).meta.is_empty() && read(3).code == "c");
    }

    #[test]
    fn details_are_kept_up_to_a_kibibyte_of_json() {
        for (len, kept) in [(0, true), (198, true), (199, false), (400, false)] {
            let meta = json!({"a": "\"\\".repeat(200), "b": ["é", "x".repeat(len), 1.5]});
            assert_eq!(meta.to_string().len(), 826 + len);
            let body = json!({"errors": [{"meta": meta}]}).to_string();
            let read = ClerkErrors::from_json(body.as_bytes()).unwrap();
            let expected = meta.as_object().filter(|_| kept).cloned();
            assert_eq!(read.errors[0].meta, expected.unwrap_or_default(), "{len}");
        }
    }
}
