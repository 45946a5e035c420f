//! [`StoreUnavailable`], the error of a store that several layers share.

use clerk_actor_tokens::BoxError;

/// A store could not be reached, or did not respond in time.
#[derive(Debug, thiserror::Error)]
#[error("the store is not available")]
pub struct StoreUnavailable {
    source: BoxError,
}

impl StoreUnavailable {
    /// Creates the error. The source must not hold a credential.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
        }
    }
}
