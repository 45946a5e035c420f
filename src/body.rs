//! [`Payload`], the request body of a call's attempts, and [`Body`], the request body of one attempt.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::{
    ActorTokenId,
    call::{Attempt, CallOptions, CallRecord},
};

/// The operation of a request, for layers that see only its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// Mint a token. Sending it twice mints two.
    Create,
    /// Revoke a token. Sending it twice is harmless.
    Revoke,
    /// List the sessions of a user, which changes nothing.
    #[cfg(feature = "sessions")]
    ListSessions,
    /// End a session. Sending it twice is harmless.
    #[cfg(feature = "sessions")]
    EndSession,
}

impl OperationKind {
    /// Returns the word used in spans and metrics: `create` or `revoke`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Revoke => "revoke",
            #[cfg(feature = "sessions")]
            Self::ListSessions => "list_sessions",
            #[cfg(feature = "sessions")]
            Self::EndSession => "end_session",
        }
    }
}

crate::text::display_as_str!(OperationKind);

/// The encoded body of a call: the request body between [`Json`](crate::layer::Json) and
/// [`DecodeError`](crate::layer::DecodeError).
///
/// It is cheap to clone. `DecodeError` turns each clone that it receives into the [`Body`] of one attempt,
/// so a retry or a hedge belongs above it.
///
/// ```
/// use clerk_actor_tokens::{OperationKind, Payload};
///
/// let payload = Payload::new(OperationKind::Create, "{}");
/// let body = payload.clone().begin_attempt();
/// assert_eq!((body.attempt(), payload.attempts()), (1, 1));
/// ```
#[derive(Clone)]
pub struct Payload {
    // Shared, so that a request is small: it is moved from layer to layer.
    pub(crate) parts: Arc<PayloadParts>,
}

pub(crate) struct PayloadParts {
    pub(crate) bytes: Bytes,
    pub(crate) kind: OperationKind,
    /// The token to revoke, or the session to end, if it is known.
    pub(crate) id: Option<ActorTokenId>,
    pub(crate) options: Option<Arc<CallOptions>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) record: Arc<CallRecord>,
}

impl Payload {
    /// Creates the payload of a new call.
    pub fn new(kind: OperationKind, bytes: impl Into<Bytes>) -> Self {
        Self::of_call(PayloadParts {
            bytes: bytes.into(),
            kind,
            id: None,
            options: None,
            deadline: None,
            record: Arc::default(),
        })
    }

    pub(crate) fn of_call(parts: PayloadParts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Returns the operation of the request.
    pub fn kind(&self) -> OperationKind {
        self.parts.kind
    }

    /// Returns the deadline of the call, if it has a timeout. A layer must not wait beyond it.
    pub fn deadline(&self) -> Option<Instant> {
        self.parts.deadline
    }

    /// Returns how many attempts of the call have begun.
    pub fn attempts(&self) -> u32 {
        self.parts.record.attempts()
    }

    /// Returns the encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.parts.bytes
    }

    /// Begins an attempt of the call and returns its body.
    pub fn begin_attempt(self) -> Body {
        Body {
            attempt: self.parts.record.begin_attempt().index,
            payload: self,
            rewritten: None,
            is_watched: false,
            is_taken: false,
        }
    }

    /// Returns the token to revoke, if it is known.
    pub(crate) fn id(&self) -> Option<&ActorTokenId> {
        self.parts.id.as_ref()
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.parts.options.as_deref()
    }
}

crate::text::opaque_debug!(Payload, |it| kind: it.kind(), len: it.as_bytes().len());

/// The request body of one attempt, which records whether the transport took its bytes.
///
/// A body that no transport took was not sent. This proves the outcome
/// [`NotSent`](crate::Outcome::NotSent) over every transport. A `Body` is not `Clone`, because a create
/// that is sent twice mints two tokens.
///
/// A transport reads it like any [`http_body::Body`], or calls [`Body::into_bytes`] if it does not poll
/// bodies. Layers that sign or measure a request use [`Body::as_bytes`], and layers that rewrite it
/// [`Body::with_bytes`].
pub struct Body {
    pub(crate) payload: Payload,
    /// The index of the attempt in the record of its call.
    attempt: u32,
    /// The bytes with which a layer replaced those of the payload.
    rewritten: Option<Box<Bytes>>,
    /// A layer records the response of the transport.
    pub(crate) is_watched: bool,
    is_taken: bool,
}

/// The error of a [`Body`] whose attempt ended before it was sent. Nothing of it may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request was withdrawn before it was sent")]
pub struct Withdrawn(pub(crate) ());

impl Body {
    /// Creates the body of the only attempt of a new call.
    ///
    /// To rewrite a request use [`with_bytes`](Self::with_bytes). With a new body in its place, its call
    /// would be reported as not sent.
    pub fn new(kind: OperationKind, bytes: impl Into<Bytes>) -> Self {
        Payload::new(kind, bytes).begin_attempt()
    }

    /// Replaces the bytes of the same attempt, for layers that rewrite a request. A
    /// [wire layer](crate::ClientBuilder::wire_layer) that has set a `content-length` must correct it.
    ///
    /// ```
    /// use clerk_actor_tokens::{Body, OperationKind};
    ///
    /// let body = Body::new(OperationKind::Create, "{}");
    /// let sealed = format!("sealed {:?}", body.as_bytes());
    /// let body = body.with_bytes(sealed);
    /// assert_eq!(body.as_bytes(), b"sealed [123, 125]");
    /// ```
    #[must_use]
    pub fn with_bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.rewritten = Some(Box::new(bytes.into()));
        self.is_taken = false;
        self
    }

    /// Returns the operation of the request.
    pub fn kind(&self) -> OperationKind {
        self.payload.kind()
    }

    /// Returns the number of this attempt within its call, from one.
    pub fn attempt(&self) -> u32 {
        self.attempt_handle().number()
    }

    /// Returns the number of bytes that are left to send.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Returns the bytes that are left to send, without taking them.
    pub fn as_bytes(&self) -> &[u8] {
        self.left().map(|bytes| &**bytes).unwrap_or_default()
    }

    /// Takes the bytes, which counts as sending them.
    ///
    /// # Errors
    ///
    /// When the attempt has ended. Then nothing may be sent.
    pub fn into_bytes(mut self) -> Result<Bytes, Withdrawn> {
        self.take().map(Option::unwrap_or_default)
    }

    /// Returns whether the request may still be sent, for transports that queue requests. If not, drop it.
    pub fn may_be_sent(&self) -> bool {
        !self.attempt_handle().is_withdrawn()
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.payload.options()
    }

    pub(crate) fn attempt_handle(&self) -> Attempt {
        self.payload.parts.record.attempt(self.attempt)
    }

    /// Returns the bytes; `None` once they are taken.
    fn left(&self) -> Option<&Bytes> {
        let bytes = self.rewritten.as_deref();
        (!self.is_taken).then(|| bytes.unwrap_or(&self.payload.parts.bytes))
    }

    /// Takes the bytes; `None` if they were taken before.
    fn take(&mut self) -> Result<Option<Bytes>, Withdrawn> {
        let bytes = self.left().cloned();
        if bytes.is_some() && !self.take_attempt() {
            return Err(Withdrawn(()));
        }
        self.is_taken = true;
        Ok(bytes)
    }

    /// Refuses after the call's deadline, so that a process that was suspended does not send late.
    fn take_attempt(&self) -> bool {
        let (attempt, deadline) = (self.attempt_handle(), self.payload.deadline());
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            attempt.withdraw();
        }
        attempt.take(self.is_watched)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        let bytes = self.take().map(|bytes| bytes.filter(|it| !it.is_empty()));
        Poll::Ready(bytes.transpose().map(|bytes| bytes.map(Frame::data)))
    }

    /// Takes an empty body. hyper calls this directly before it writes the head, and does not poll an
    /// empty body. So this is the last moment to withdraw it.
    fn is_end_stream(&self) -> bool {
        match self.left() {
            None => true,
            Some(bytes) => bytes.is_empty() && self.take_attempt(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

crate::text::opaque_debug!(Body, |it| kind: it.kind(), len: it.len());
