//! [`Settings`], what operators or the API changed for all creates.

use clerk_actor_tokens_policy::audit::Note;
use serde::{Deserialize, Serialize};

/// The note that creates are paused.
pub const PAUSED: &str = "paused";
/// The note that creates are resumed.
pub const RESUMED: &str = "resumed";
/// The note that Clerk's quota is used up, so that creates are refused.
pub const QUOTA_CLOSED: &str = "quota_closed";
/// The note that creates are sent again after [`QUOTA_CLOSED`].
pub const QUOTA_REOPENED: &str = "quota_reopened";
/// The note that a policy was put in place of another one; its detail is the version.
pub const POLICY_LOADED: &str = "policy_loaded";

/// The notes that change a setting: the name of the setting, and whether the note sets it.
const NOTES: [(&str, &str, bool); 4] = [
    (PAUSED, "paused", true),
    (RESUMED, "paused", false),
    (QUOTA_CLOSED, "quota", true),
    (QUOTA_REOPENED, "quota", false),
];

/// Returns the name of the setting that a note changes, and whether the note sets it.
pub fn setting_of(note: &Note) -> Option<(&'static str, bool)> {
    let found = NOTES.iter().find(|(word, ..)| *word == note.note);
    found.map(|(_, name, is_set)| (*name, *is_set))
}

/// The settings that operators or the API changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Creates are paused.
    pub paused: Option<Flag>,
    /// The API's quota is used up.
    pub quota_closed: Option<Flag>,
    /// The version of the policy that was loaded last, where several processes share it: see [`POLICY_LOADED`].
    pub policy: Option<String>,
}

impl Settings {
    /// Reads the settings from their rows, by name.
    ///
    /// # Errors
    ///
    /// The error of `read`.
    pub fn read<E>(mut read: impl FnMut(&str) -> Result<Option<Flag>, E>) -> Result<Self, E> {
        Ok(Self {
            paused: read("paused")?,
            quota_closed: read("quota")?,
            policy: None,
        })
    }
}

/// A setting that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// The principal who set it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}
