//! [`TokenResponse`], the response body between Settle and Json.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::actor_token::Guard;

/// The bytes of a response, and the guard of the token that the response mints.
///
/// Dropping it anywhere between [`Settle`](crate::layer::Settle) and
/// [`Json`](crate::layer::Json) revokes the token, because its caller does not get it. It is not
/// `Clone`, because a token is delivered once.
pub struct TokenResponse {
    bytes: Bytes,
    guard: Option<Arc<dyn Guard>>,
}

impl TokenResponse {
    /// Makes a response body without a guard, for services that stand in for the layers below. A token
    /// in it is not revoked when it is lost.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            guard: None,
        }
    }

    pub(crate) fn guarded(bytes: Bytes, guard: Arc<dyn Guard>) -> Self {
        Self {
            bytes,
            guard: Some(guard),
        }
    }

    /// Returns the bytes of the response. They may hold a credential.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_parts(self) -> (Bytes, Option<Arc<dyn Guard>>) {
        (self.bytes, self.guard)
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("len", &self.bytes.len())
            .field("is_guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}
