//! The forms in which a text can show the marker.

use std::sync::LazyLock;

/// A part of every secret; it must never show.
pub(crate) const MARKER: &str = "MARKER";

/// What the marker looks like, in each form.
struct Needles {
    lower: String,
    base64: [String; 3],
    hex: [String; 2],
    numbers: [String; 2],
}

static NEEDLES: LazyLock<Needles> = LazyLock::new(|| {
    let lower = MARKER.to_ascii_lowercase();
    let both = [MARKER.as_bytes(), lower.as_bytes()];
    Needles {
        base64: [0, 1, 2].map(base64_after),
        hex: both.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        numbers: both.map(|bytes| numbers(&format!("{bytes:?}"))),
        lower,
    }
});

/// The form in which a text shows the marker, if it does.
pub(crate) fn form_in(text: &str) -> Option<&'static str> {
    let needles = &*NEEDLES;
    let lower = text.to_ascii_lowercase();
    let any = |of: &[String], text: &str| of.iter().any(|needle| text.contains(needle));
    if lower.contains(&needles.lower) {
        return Some("as it is");
    }
    if any(&needles.base64, text) {
        return Some("as base64");
    }
    // Few texts have the first byte of it, and those alone are worth a closer look.
    if needles.hex.iter().any(|hex| lower.contains(&hex[..2])) && any(&needles.hex, &hex(&lower)) {
        return Some("as hexadecimal digits");
    }
    let first = |numbers: &String| lower.contains(&numbers[1..3]);
    if needles.numbers.iter().any(first) && any(&needles.numbers, &numbers(&lower)) {
        return Some("as numbers");
    }
    None
}

/// The hexadecimal digits of a text, without what stands between and before them: `4d 41`, `4d:41`,
/// `[0x4d, 0x41]`, `\x4d\x41`, `%4d%41`, `\u004d\u0041`, `\u{4d}\u{41}`.
fn hex(lower: &str) -> String {
    let mut digits = lower.replace("0x", "").replace("\\u00", "");
    digits.retain(|c| c.is_ascii_hexdigit());
    digits
}

/// The numbers of a text, whatever stands between them: `[77, 65]`, on lines of their own, `&#77;&#65;`.
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

/// The characters of base64 that tell of nothing but the marker, when so many bytes stand before it.
fn base64_after(bytes: usize) -> String {
    let text = [vec![0; bytes], MARKER.into(), vec![0; 3]].concat();
    let (begin, end) = ((bytes * 8).div_ceil(6), (bytes + MARKER.len()) * 8 / 6);
    base64(&text)[begin..end].to_owned()
}

/// Base64, without padding; of the marker neither of its two alphabets has a character of its own.
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
