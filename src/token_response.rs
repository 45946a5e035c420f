//! [`TokenResponse`], the response body between Settle and Json.

use std::sync::Arc;

use bytes::Bytes;

use crate::{ActorToken, actor_token::Guard};

/// The bytes of a response, and the guard of the token that the response mints.
///
/// Dropping it between [`Settle`](crate::layer::Settle) and [`Json`](crate::layer::Json) revokes the token,
/// because its caller does not get it. It is not `Clone`, because a token is returned once.
pub struct TokenResponse {
    pub(crate) bytes: Bytes,
    pub(crate) guard: Option<Arc<dyn Guard>>,
    /// The token of a revoke, which DecodeError has read.
    pub(crate) revoked: Option<Box<ActorToken>>,
}

impl TokenResponse {
    /// Creates a response body without a guard, for services that replace the layers below. Its token is not
    /// revoked when it is lost.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            guard: None,
            revoked: None,
        }
    }

    /// Returns the bytes of the response. They may hold a credential.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

crate::text::opaque_debug!(TokenResponse, |it| len: it.bytes.len(), is_guarded: it.guard.is_some());
