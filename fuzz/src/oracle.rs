//! What must hold of everything that a call returns.

use std::error::Error as StdError;

use clerk_actor_tokens::{ActorToken, ActorTokenId, Error};

use crate::MARKER;

/// What stands in place of a key.
const MASK: &str = "[redacted]";

/// All that a result shows of itself: first what stands in one line, then what may stand in many.
pub struct Shown {
    pub lines: Vec<String>,
    pub pretty: Vec<String>,
}

impl Shown {
    pub fn of(result: &Result<ActorToken, Error>) -> Self {
        let mut shown = Self {
            lines: Vec::new(),
            pretty: Vec::new(),
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

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().chain(&self.pretty).map(String::as_str)
    }

    /// No secret shows. An id is an id, whatever it reads like.
    pub fn holds_no_secret(&self, id: Option<&ActorTokenId>) {
        for text in self.texts() {
            let rest = id.map_or_else(|| text.to_owned(), |id| text.replace(id.as_str(), ""));
            assert!(!rest.contains(MARKER), "a secret shows: {text}");
        }
    }

    /// Nothing looks like a key, and nothing can confuse a terminal.
    pub fn is_presentable(&self, id: Option<&ActorTokenId>) {
        for text in self.texts() {
            let rest = id.map_or_else(|| text.to_owned(), |id| text.replace(id.as_str(), ""));
            for (at, found) in rest.match_indices("sk_") {
                let (before, after) = (&rest[..at], &rest[at + found.len()..]);
                let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if in_word && !["test_", "live_"].iter().any(|it| after.starts_with(it)) {
                    // The end of a word, like `task_`.
                    continue;
                }
                // The mask may itself be cut where a text gets too long.
                let cut = after.split_once('…').map(|(before, _)| before);
                let is_masked =
                    after.starts_with(MASK) || cut.is_some_and(|before| MASK.starts_with(before));
                assert!(is_masked, "a key shows: {text}");
            }
        }
        for line in &self.lines {
            assert!(!line.chars().any(is_unsafe), "not fit to show: {line:?}");
        }
        for text in &self.pretty {
            let unsafe_char = |c: char| c != '\n' && is_unsafe(c);
            assert!(!text.chars().any(unsafe_char), "not fit to show: {text:?}");
        }
    }

    /// Nothing is longer than this, in bytes.
    pub fn is_shorter_than(&self, line: usize, pretty: usize) {
        for (texts, limit) in [(&self.lines, line), (&self.pretty, pretty)] {
            for text in texts {
                let start: String = text.chars().take(200).collect();
                assert!(text.len() < limit, "{} bytes: {start}", text.len());
            }
        }
    }
}

/// The id that a result is about.
pub fn id_of(result: &Result<ActorToken, Error>) -> Option<&ActorTokenId> {
    match result {
        Ok(token) => Some(token.id()),
        Err(error) => error.actor_token_id(),
    }
}

/// What an [`ActorTokenId`] may consist of, said once more.
pub fn is_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=128).contains(&text.len()) && text.chars().all(allowed)
}

/// Controls, and whatever changes the direction of text (Unicode's `Bidi_Control`).
fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}
