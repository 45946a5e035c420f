//! Text from the network, made safe to show, and macros for text and `Debug`.

use crate::SecretKey;

/// Implements `TryFrom` of the usual texts by `FromStr`, for parameters that are `impl TryInto`.
macro_rules! try_from_text {
    ($type:ty, $error:ty) => {
        $crate::text::try_from_text!($type, $error: &str, &String, String);
    };
    ($type:ty, $error:ty: $($text:ty),*) => {$(
        impl TryFrom<$text> for $type {
            type Error = $error;

            fn try_from(text: $text) -> Result<Self, $error> {
                text.parse()
            }
        }
    )*};
}
pub(crate) use try_from_text;

/// Implements `Display` by `as_str`.
macro_rules! display_as_str {
    ($type:ty) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use display_as_str;

/// Implements `Debug` by the name of the type and these fields, because another one may hold a credential.
macro_rules! opaque_debug {
    ($type:ident $(<$($param:ident),*>)? $(where $($bounds:tt)*)?) => {
        impl $(<$($param),*>)? std::fmt::Debug for $type $(<$($param),*>)? $(where $($bounds)*)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }
    };
    ($type:ident $(<$param:ident>)?, |$it:ident| $($field:ident: $value:expr),*) => {
        impl $(<$param>)? std::fmt::Debug for $type $(<$param>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $it = self;
                let mut fields = f.debug_struct(stringify!($type));
                $(fields.field(stringify!($field), &$value);)*
                fields.finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use opaque_debug;

/// The longest text that is kept, in characters.
const MAX_CHARS: usize = 500;

/// Returns `text` without control and invisible characters, with secret keys masked. An `…` replaces the
/// rest after 500 characters.
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

/// Returns whether `c` is a control character or invisible. An invisible character could reorder text,
/// or split a key so that it is not masked.
///
/// The ranges are general category Cf and `Default_Ignorable_Code_Point` of Unicode 16, the line
/// separators and the Braille blank. A test compares them with `regex-syntax`.
fn is_unsafe(c: char) -> bool {
    !matches!(c, ' '..='~')
        && (c.is_control()
            || matches!(u32::from(c),
            0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2
            | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xfe00..=0xfe0f | 0xfeff
            | 0xffa0 | 0xfff0..=0xfffb | 0x110bd | 0x110cd | 0x13430..=0x1343f
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff))
}

/// Masks the keys in `text`, from which characters were removed at the byte offsets `gaps`.
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

/// Returns whether the prefix at `start` begins a key and not the end of a word like `task_`. `sk_test_`
/// and `sk_live_`, the two kinds that Clerk issues, always begin a key.
fn is_key(text: &str, start: usize, gaps: &[usize]) -> bool {
    let (before, key) = text.split_at(start);
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    // A character that was removed here ended the word.
    !in_word
        || gaps.binary_search(&start).is_ok()
        || key.starts_with("sk_test_")
        || key.starts_with("sk_live_")
}
