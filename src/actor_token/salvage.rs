//! [`Salvaged`], the id in a response that is incomplete or malformed.

use std::borrow::Cow;

use super::ActorToken;
use crate::{ActorTokenId, lenient};

/// The ids that were read from such a response.
pub(crate) struct Salvaged {
    pub(crate) id: ActorTokenId,
    pub(crate) user_id: Option<String>,
}

impl ActorToken {
    /// Reads `response` as far as it is JSON and returns the first `id` and the first `user_id` in its
    /// object. Nested ids, as in `actor`, do not count.
    pub(crate) fn salvage(response: &[u8]) -> Option<Salvaged> {
        // Invalid bytes, a byte order mark or an array around the object do not hide the id.
        let response = String::from_utf8_lossy(response);
        let object = response
            .trim_start_matches(|c: char| c == '\u{feff}' || c == '[' || c.is_ascii_whitespace());
        let (mut id, mut user_id) = (None, None);
        // The error does not matter: the members before it were read.
        let _ = lenient::members(object, |name, value| match name {
            "id" => _ = id.get_or_insert_with(|| lenient::text(value)),
            "user_id" => _ = user_id.get_or_insert_with(|| lenient::text(value)),
            _ => {}
        });
        Some(Salvaged {
            id: id??.parse().ok()?,
            user_id: user_id
                .flatten()
                .filter(|user_id| !user_id.contains(char::REPLACEMENT_CHARACTER))
                .map(Cow::into_owned),
        })
    }

    /// Returns only the id.
    pub(crate) fn salvage_id(response: &[u8]) -> Option<ActorTokenId> {
        Self::salvage(response).map(|found| found.id)
    }
}
