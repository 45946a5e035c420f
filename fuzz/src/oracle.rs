//! Checks of the texts that a result shows.

use std::error::Error as StdError;

use clerk_actor_tokens::{ActorToken, ActorTokenId, Error, ErrorKind};
use http::StatusCode;

use crate::MARKER;

/// The replacement of a key.
const MASK: &str = "[redacted]";

/// The texts that a result and its sources show.
pub struct Shown {
    lines: Vec<String>,
    /// With line breaks.
    pretty: Vec<String>,
    /// May read like a key.
    id: Option<ActorTokenId>,
}

impl Shown {
    pub fn of(result: &Result<ActorToken, Error>) -> Self {
        let mut shown = Self {
            lines: Vec::new(),
            pretty: Vec::new(),
            id: id_of(result).cloned(),
        };
        match result {
            Ok(token) => {
                shown.lines.push(format!("{token:?}"));
                shown.pretty.push(format!("{token:#?}"));
            }
            Err(error) => {
                let mut next: Option<&(dyn StdError + 'static)> = Some(error);
                while let Some(error) = next {
                    shown.lines.push(format!("{error}"));
                    shown.lines.push(format!("{error:?}"));
                    shown.pretty.push(format!("{error:#?}"));
                    next = error.source();
                }
            }
        }
        shown
    }

    /// Returns all texts without the id.
    fn texts(&self) -> impl Iterator<Item = String> {
        let texts = self.lines.iter().chain(&self.pretty);
        texts.map(|text| match &self.id {
            Some(id) => text.replace(id.as_str(), ""),
            None => text.clone(),
        })
    }

    /// Asserts that no secret shows.
    pub fn holds_no_secret(&self) {
        for text in self.texts() {
            assert!(!text.contains(MARKER), "a secret shows: {text}");
        }
    }

    /// Asserts that no key and no control character shows.
    pub fn is_presentable(&self) {
        for text in self.texts() {
            for (at, found) in text.match_indices("sk_") {
                let (before, after) = (&text[..at], &text[at + found.len()..]);
                let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if in_word && !["test_", "live_"].iter().any(|it| after.starts_with(it)) {
                    // A word such as `task_`.
                    continue;
                }
                // A long text may be cut within the mask.
                let cut = after.split_once('…').map(|(before, _)| before);
                let is_masked =
                    after.starts_with(MASK) || cut.is_some_and(|before| MASK.starts_with(before));
                assert!(is_masked, "a key shows: {text}");
            }
        }
        for line in &self.lines {
            assert!(!line.chars().any(is_unsafe), "control character: {line:?}");
        }
        for text in &self.pretty {
            let unsafe_char = |c: char| c != '\n' && is_unsafe(c);
            assert!(
                !text.chars().any(unsafe_char),
                "control character: {text:?}"
            );
        }
    }

    /// Asserts that no text is longer than these limits, in bytes.
    pub fn is_shorter_than(&self, line: usize, pretty: usize) {
        for (texts, limit) in [(&self.lines, line), (&self.pretty, pretty)] {
            for text in texts {
                let start: String = text.chars().take(200).collect();
                assert!(text.len() < limit, "{} bytes: {start}", text.len());
            }
        }
    }
}

fn id_of(result: &Result<ActorToken, Error>) -> Option<&ActorTokenId> {
    match result {
        Ok(token) => Some(token.id()),
        Err(error) => error.actor_token_id(),
    }
}

/// Returns whether the response to a revoke is a 200 whose token is not revoked.
pub fn is_not_revoked(error: &Error) -> bool {
    let kinds = [ErrorKind::AlreadyAccepted, ErrorKind::NotRevoked];
    error.status() == Some(StatusCode::OK) && kinds.contains(&error.kind())
}

/// Returns whether the text is a valid [`ActorTokenId`].
pub fn is_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=128).contains(&text.len()) && text.chars().all(allowed)
}

/// Returns whether this is a control character, or one of Unicode's `Bidi_Control`.
fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}
