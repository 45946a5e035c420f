//! [`Guard`], what answers for a minted token until somebody claims it.

use bytes::Bytes;

use crate::{ActorTokenId, layer::settle::Unsettled};

/// Answers for one minted token: dropped before it was claimed, it settles the token.
pub(crate) trait Guard: Send + Sync {
    /// Whether it answers for the token that was read, under this id, from `answer`.
    fn is_of(&self, id: &ActorTokenId, answer: &Bytes) -> bool;

    /// The answer was read: it speaks of the token with this id.
    fn confirm(&mut self, id: &ActorTokenId);

    /// Somebody has the credential now, and answers for it.
    fn claim(&self);

    /// The token once more, for somebody who answers for it until it is to be settled after all.
    fn unsettled(&self) -> Option<Unsettled>;
}
