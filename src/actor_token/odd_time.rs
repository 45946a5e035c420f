//! Times that are what some writers put into JSON, which has no word for it.

use memchr::memmem;

const KEYS: [&[u8]; 2] = [b"\"created_at\"", b"\"updated_at\""];
const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// `json` with `null` for every time that is not a number, if it has any: whatever became of the
/// time, it must not cost the credential.
pub(super) fn without_odd_times(json: &[u8]) -> Option<Vec<u8>> {
    // Told at a glance: mostly, there is no such word.
    if !WORDS.iter().any(|word| memmem::find(json, word).is_some()) {
        return None;
    }
    let mut cleaned = Vec::with_capacity(json.len());
    let mut rest = json;
    let mut found = false;
    while let Some((first, after)) = rest.split_first() {
        let is_value = || is_time(&json[..json.len() - rest.len()]);
        match WORDS.iter().find_map(|word| rest.strip_prefix(*word)) {
            Some(after) if is_value() => {
                cleaned.extend(b"null");
                rest = after;
                found = true;
            }
            _ => {
                cleaned.push(*first);
                rest = after;
            }
        }
    }
    found.then_some(cleaned)
}

/// Whether the value of a time follows. Within a text a quote never ends a key: it is escaped.
fn is_time(before: &[u8]) -> bool {
    let key = before.trim_ascii_end().strip_suffix(b":");
    key.is_some_and(|key| KEYS.iter().any(|time| key.trim_ascii_end().ends_with(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_no_numbers_become_null() {
        let odd = br#"{"created_at": NaN,"updated_at" :-Infinity,"a":[{"created_at":Infinity}]}"#;
        let null = br#"{"created_at": null,"updated_at" :null,"a":[{"created_at":null}]}"#;
        assert_eq!(without_odd_times(odd).as_deref(), Some(&null[..]));
    }

    #[test]
    fn nothing_else_is_touched() {
        for json in [
            r#"{"created_at":1,"a":NaN}"#,
            r#"{"a":"\"created_at\":NaN"}"#,
            r#"{"created_at","NaN"}"#,
            "NaN",
            "",
        ] {
            assert_eq!(without_odd_times(json.as_bytes()), None, "{json}");
        }
    }
}
