//! [`TokenResponse`], the response body between Settle and Json.

use std::sync::Arc;

use bytes::Bytes;

use crate::{ActorToken, actor_token::Guard};

/// The bytes of a response, and the guard of the token that the response mints.
///
/// Dropping it between [`Settle`](crate::layer::Settle) and [`Json`](crate::layer::Json) revokes the token,
/// because its caller does not get it. It is not `Clone`, because a token is returned once.
pub struct TokenResponse {
    bytes: Bytes,
    guard: Option<Arc<dyn Guard>>,
    /// The token of a revoke, which DecodeError has read.
    revoked: Option<Box<ActorToken>>,
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

    pub(crate) fn guarded(bytes: Bytes, guard: Arc<dyn Guard>) -> Self {
        Self {
            guard: Some(guard),
            ..Self::new(bytes)
        }
    }

    /// Returns the bytes of the response. They may hold a credential.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn with_revoked(mut self, token: ActorToken) -> Self {
        self.revoked = Some(Box::new(token));
        self
    }

    pub(crate) fn take_revoked(&mut self) -> Option<ActorToken> {
        self.revoked.take().map(|token| *token)
    }

    pub(crate) fn into_parts(self) -> (Bytes, Option<Arc<dyn Guard>>) {
        (self.bytes, self.guard)
    }
}

crate::text::opaque_debug!(TokenResponse, |it| len: it.bytes.len(), is_guarded: it.guard.is_some());
