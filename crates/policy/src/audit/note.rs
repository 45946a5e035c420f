//! [`Note`], a fact that belongs to no call.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::Principal;

/// A fact that the host records and that belongs to no call, such as that creates are paused.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Note {
    /// The fact in a word, such as `paused`.
    pub note: Cow<'static, str>,
    /// The principal who caused it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// The fact in detail, such as a reason. It must not hold a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Note {
    /// Creates a note.
    pub fn new(note: impl Into<Cow<'static, str>>) -> Self {
        Self {
            note: note.into(),
            principal: None,
            detail: None,
        }
    }

    /// Sets the principal who caused the fact.
    #[must_use]
    pub fn by(mut self, principal: Principal) -> Self {
        self.principal = Some(principal);
        self
    }

    /// Adds the fact in detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note")
            .field("note", &self.note)
            .finish_non_exhaustive()
    }
}
