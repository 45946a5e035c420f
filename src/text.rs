//! Text from the network, made fit to show: what a stranger wrote never reaches a terminal raw.

use std::borrow::Cow;

use crate::SecretKey;

/// The longest text kept of any field from the network, in characters.
const MAX_CHARS: usize = 500;

/// `text` without control and direction-changing characters, with whatever looks like a secret key
/// masked, and what is longer than 500 characters cut to that and an `…`.
pub(crate) fn presentable<'a>(text: impl Into<Cow<'a, str>>) -> String {
    let text = text.into();
    if is_plain(&text) {
        text.into_owned()
    } else {
        cleaned(&text)
    }
}

/// Whether nothing about `text` needs cleaning, told at a glance: mostly, nothing does.
pub(crate) fn is_plain(text: &str) -> bool {
    // Without a way out of the loop it is done many bytes at a time.
    let is_ascii = || {
        let bytes = text.bytes();
        bytes.fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
    };
    text.len() <= MAX_CHARS && is_ascii() && !text.contains(SecretKey::PREFIX)
}

fn cleaned(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut gaps = Vec::new();
    for c in text.chars() {
        if !is_unsafe(c) {
            kept.push(c);
        } else if gaps.last() != Some(&kept.len()) {
            gaps.push(kept.len());
        }
    }
    let mut kept = mask_keys(kept, &gaps);
    if let Some((cut, _)) = kept.char_indices().nth(MAX_CHARS) {
        kept.truncate(cut);
        kept.push('…');
    }
    kept
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{2060}'..='\u{2064}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Masks the keys in `text`, out of which something was taken at the `gaps`.
fn mask_keys(text: String, gaps: &[usize]) -> String {
    let mut masked = String::new();
    let mut rest = 0;
    for (start, prefix) in text.match_indices(SecretKey::PREFIX) {
        // The rest of a key may read like the beginning of one.
        if start >= rest && is_key(&text, start, gaps) {
            let key = start + prefix.len();
            masked.push_str(&text[rest..key]);
            masked.push_str("[redacted]");
            let ends = |c: char| c.is_whitespace() || "\"'`,;<>()".contains(c);
            rest = text[key..].find(ends).map_or(text.len(), |end| key + end);
        }
    }
    if rest == 0 {
        return text;
    }
    masked.push_str(&text[rest..]);
    masked
}

/// Whether the prefix that stands at `start` begins a key, and not the end of a word, like `task_`. Of
/// the kinds that Clerk hands out it always does.
fn is_key(text: &str, start: usize, gaps: &[usize]) -> bool {
    let (before, key) = text.split_at(start);
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    // What was taken out ended the word.
    !in_word
        || gaps.binary_search(&start).is_ok()
        || key.starts_with("sk_test_")
        || key.starts_with("sk_live_")
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn any_text() -> impl Strategy<Value = String> {
        let pieces = select(vec![
            "sk_", "s", "k_", "key ", "live_", "é", "\u{1b}", "\u{7f}", "\u{202e}",
        ]);
        prop_oneof![
            any::<String>(),
            "[ -\u{7f}]{0,40}",
            "[ -~]{499,502}",
            "[ -é]{490,510}",
            vec(pieces, 0..8).prop_map(|pieces| pieces.concat()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn nothing_about_a_plain_text_needs_cleaning(text in any_text()) {
            prop_assert_eq!(presentable(&text), cleaned(&text));
            prop_assert_eq!(presentable(text.clone()), cleaned(&text));
        }
    }

    #[test]
    fn control_and_direction_characters_are_stripped() {
        assert_eq!(presentable("a\u{1b}[31mred\r\n\u{202e}b\0"), "a[31mredb");
    }

    #[test]
    fn length_is_bounded() {
        let shown = presentable("é".repeat(10_000));
        assert_eq!(shown.chars().count(), MAX_CHARS + 1);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn an_echoed_key_is_masked() {
        assert_eq!(
            presentable("key 'sk_test_a1+/=' and sk_live_b are wrong"),
            "key 'sk_[redacted]' and sk_[redacted] are wrong"
        );
        assert_eq!(
            presentable("sk_a:b%c$d~e is wrong"),
            "sk_[redacted] is wrong"
        );
        assert_eq!(presentable("sk_[redacted]"), "sk_[redacted]");
    }

    #[test]
    fn a_word_that_merely_ends_like_the_prefix_is_no_key() {
        for word in ["task_pending", "at_risk_hold", "2sk_x", "_sk_x", "ésk_x"] {
            assert_eq!(presentable(word), word);
            let hostile = presentable(format!("\u{1b}{word} sk_a"));
            assert_eq!(hostile, format!("{word} sk_[redacted]"));
        }
    }

    #[test]
    fn a_key_of_the_two_known_kinds_is_masked_wherever_it_stands() {
        for (text, masked) in [
            ("Bearer%20sk_live_a b", "Bearer%20sk_[redacted] b"),
            ("task_sk_test_a", "task_sk_[redacted]"),
            ("asks\u{200b}k_\0test_a", "asksk_[redacted]"),
        ] {
            assert_eq!(presentable(text), masked);
        }
    }

    #[test]
    fn what_is_stripped_joins_no_key_to_a_word() {
        for text in [
            "key\nsk_a",
            "key\u{1b}sk_a",
            "key\u{200b}\0sk_a",
            "key\0s\0k_\0a",
        ] {
            assert_eq!(presentable(text), "keysk_[redacted]");
        }
    }
}
