//! The forms in which a text can show a secret.

use std::sync::LazyLock;

/// A part of every secret.
pub(crate) const MARKER: &str = "MARKER";

static OF_MARKER: LazyLock<Forms> = LazyLock::new(|| Forms::of(MARKER));

/// Returns the form in which a text contains the marker, if it does.
pub(crate) fn form_in(text: &str) -> Option<&'static str> {
    OF_MARKER.form_in(text)
}

/// The forms of a secret.
pub(crate) struct Forms {
    lower: String,
    base64: [String; 3],
    hex: [String; 2],
    numbers: [String; 2],
}

impl Forms {
    pub(crate) fn of(secret: &str) -> Self {
        let lower = secret.to_ascii_lowercase();
        let both = [secret.as_bytes(), lower.as_bytes()];
        Self {
            base64: [0, 1, 2].map(|bytes| base64_after(bytes, secret)),
            hex: both.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            numbers: both.map(|bytes| numbers(&format!("{bytes:?}"))),
            lower,
        }
    }

    /// Returns the form in which a text contains the secret, if it does.
    pub(crate) fn form_in(&self, text: &str) -> Option<&'static str> {
        let lower = text.to_ascii_lowercase();
        let any = |of: &[String], text: &str| of.iter().any(|form| text.contains(form));
        if lower.contains(&self.lower) {
            return Some("as it is");
        }
        if any(&self.base64, text) {
            return Some("as base64");
        }
        // A text is converted only if it has the first byte, because few have.
        let first = |hex: &String| lower.contains(&hex[..2]);
        if self.hex.iter().any(first) && any(&self.hex, &hex(&lower)) {
            return Some("as hexadecimal digits");
        }
        let first = |numbers: &String| lower.contains(&numbers[1..3]);
        if self.numbers.iter().any(first) && any(&self.numbers, &numbers(&lower)) {
            return Some("as numbers");
        }
        None
    }
}

/// Returns the hexadecimal digits of a text, without prefixes and separators: `4d 41`, `4d:41`,
/// `[0x4d, 0x41]`, `\x4d\x41`, `%4d%41`, `\u004d\u0041`, `\u{4d}\u{41}`.
fn hex(lower: &str) -> String {
    let mut digits = lower.replace("0x", "").replace("\\u00", "");
    digits.retain(|c| c.is_ascii_hexdigit());
    digits
}

/// Returns the numbers of a text with any separators: `[77, 65]`, `&#77;&#65;` or a number a line.
fn numbers(text: &str) -> String {
    let mut numbers = String::from(",");
    for number in text.split(|c: char| !c.is_ascii_digit()) {
        if !number.is_empty() {
            numbers.push_str(number);
            numbers.push(',');
        }
    }
    numbers
}

/// Returns the base64 characters that depend on a secret alone, with this many bytes before it.
fn base64_after(bytes: usize, secret: &str) -> String {
    let text = [vec![0; bytes], secret.into(), vec![0; 3]].concat();
    let (begin, end) = ((bytes * 8).div_ceil(6), (bytes + secret.len()) * 8 / 6);
    base64(&text)[begin..end].to_owned()
}

/// Encodes as base64 without padding. The URL-safe alphabet differs in two characters only, which no secret
/// here contains.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0, |sum, at| {
            sum << 8 | usize::from(three.get(at).copied().unwrap_or(0))
        });
        for at in 0..=three.len() {
            text.push(char::from(ALPHABET[number >> (18 - 6 * at) & 63]));
        }
    }
    text
}
