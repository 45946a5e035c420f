//! Text from the network, made safe to show.

use crate::SecretKey;

/// The longest text that is kept, in characters.
const MAX_CHARS: usize = 500;

/// Returns `text` without control and direction-changing characters, with secret keys masked. If it is
/// longer than 500 characters, the rest is replaced by an `…`.
pub(crate) fn presentable(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
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

/// Masks the keys in `text`. Characters were removed at the byte offsets `gaps`.
fn mask_keys(text: String, gaps: &[usize]) -> String {
    let mut masked = String::new();
    let mut rest = 0;
    for (start, prefix) in text.match_indices(SecretKey::PREFIX) {
        // A key may contain the prefix again.
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

/// Whether the prefix at `start` begins a key and is not part of a word like `task_`. `sk_test_` and
/// `sk_live_`, the two kinds that Clerk issues, always begin a key.
fn is_key(text: &str, start: usize, gaps: &[usize]) -> bool {
    let (before, key) = text.split_at(start);
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    // A character that was removed here ended the word.
    !in_word
        || gaps.binary_search(&start).is_ok()
        || key.starts_with("sk_test_")
        || key.starts_with("sk_live_")
}
