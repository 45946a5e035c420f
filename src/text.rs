//! Text from the network, made fit to show: what a stranger wrote never reaches a terminal raw.

use std::borrow::Cow;

use crate::SecretKey;

/// The longest text kept of any field from the network, in characters.
const MAX_CHARS: usize = 500;

/// `text` without control and direction-changing characters, cut to a bounded length, and with
/// whatever looks like a secret key masked.
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
    let mut kept = mask_keys(text.chars().filter(|c| !is_unsafe(*c)).collect());
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

fn mask_keys(text: String) -> String {
    if !text.contains(SecretKey::PREFIX) {
        return text;
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(SecretKey::PREFIX) {
        let (before, key) = rest.split_at(start + SecretKey::PREFIX.len());
        masked.push_str(before);
        masked.push_str("[redacted]");
        let ends = |c: char| c.is_whitespace() || "\"'`,;<>()".contains(c);
        rest = key.trim_start_matches(|c: char| !ends(c));
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn any_text() -> impl Strategy<Value = String> {
        let pieces = select(vec![
            "sk_", "s", "k_", "key ", "é", "\u{1b}", "\u{7f}", "\u{202e}",
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
}
