//! [`Body`], the request body of an attempt.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::call::{Attempt, Call, Content, Progress};

/// Which of the API's two operations a request is, for layers that see bytes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// Mint a token. Sending it twice mints two.
    Create,
    /// Revoke a token. Sending it twice is harmless.
    Revoke,
}

/// The request body of an attempt: bytes in one piece, the [`OperationKind`] that a retry decides on, and
/// a note of whether the transport took it.
///
/// A body that no transport took cannot have been sent. That is how a failure is told to be
/// [`NotSent`](crate::Outcome::NotSent), whatever the transport, time-outs included. Cloning shares
/// the bytes and the note.
///
/// Transports read it like any [`http_body::Body`]. A transport that sends a request without
/// reading its body must call [`Body::into_bytes`], so that the note is right. Layers that sign or
/// measure what is sent look at it by [`Body::as_bytes`], those that write it anew do so by
/// [`Body::with_bytes`].
///
/// ```
/// use clerk_actor_tokens::{Body, OperationKind};
///
/// let body = Body::new(OperationKind::Create, r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#);
/// assert_eq!(body.kind(), OperationKind::Create);
/// assert_eq!(format!("{body:?}"), "Body { kind: Create, len: 45, .. }");
/// ```
#[derive(Clone)]
pub struct Body {
    // A handle, and no more: on its way to the wire a request is moved some forty times.
    attempt: Attempt,
    /// That attempt was begun; until then this is but a body of its call.
    begun: bool,
    /// How many layers above read the answer.
    readers: u8,
    /// The bytes were handed out.
    spent: bool,
    /// What a layer wrote in place of what the call says.
    own: Option<Box<Bytes>>,
}

impl Body {
    /// A body that belongs to a call of its own. Never put one in place of another, whose call would learn
    /// nothing of what is sent then, and take it for not sent; other bytes are put into a body by
    /// [`with_bytes`](Self::with_bytes).
    #[must_use]
    pub fn new(kind: OperationKind, bytes: impl Into<Bytes>) -> Self {
        Self::of_call(kind, bytes.into(), Call::default())
    }

    pub(crate) fn of_call(kind: OperationKind, bytes: Bytes, call: Call) -> Self {
        Self {
            attempt: Attempt::none_of(call.encoded(kind, bytes)),
            begun: false,
            readers: 0,
            spent: false,
            own: None,
        }
    }

    /// The body of the same attempt with other bytes, for layers that write it anew. Whoever does so in an
    /// [wire layer](crate::ClientBuilder::wire_layer) sets the request's `content-length`, too.
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
        self.own = Some(Box::new(bytes.into()));
        self
    }

    /// Which operation the request is.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        self.content().kind
    }

    /// The number of this attempt within its call, counted from one; zero above
    /// [`DecodeErrorLayer`](crate::layer::DecodeErrorLayer), which begins attempts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        if self.begun { self.attempt.number() } else { 0 }
    }

    /// The length in bytes of what is left to send.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// What is left to send, to look at. It may be given up at any time; what is sent is taken by
    /// [`into_bytes`](Self::into_bytes).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes()
    }

    /// Takes the bytes, which counts as sending them: what two clones took counts as sent twice. `None`
    /// when the attempt they belong to was given up: then they must not be sent any more.
    #[must_use]
    pub fn into_bytes(self) -> Option<Bytes> {
        self.take().then(|| self.bytes().clone())
    }

    /// What is left to send.
    pub(crate) fn bytes(&self) -> &Bytes {
        static NOTHING: Bytes = Bytes::new();
        if self.spent {
            &NOTHING
        } else {
            self.own.as_deref().unwrap_or(&self.content().bytes)
        }
    }

    pub(crate) fn content(&self) -> &Content {
        self.progress().content()
    }

    pub(crate) fn progress(&self) -> &Progress {
        self.attempt.progress()
    }

    /// Makes this the body of a new attempt of its call.
    pub(crate) fn begin_attempt(&mut self) -> Attempt {
        if self.begun {
            self.attempt.become_repeated();
        } else {
            self.attempt.become_next();
        }
        (self.begun, self.readers) = (true, 0);
        self.attempt.clone()
    }

    /// The attempt that this is the body of; begun here where no layer above did.
    fn attempt_or_begin(&mut self) -> Attempt {
        if self.begun {
            self.attempt.clone()
        } else {
            self.begin_attempt()
        }
    }

    /// The attempt that this is the body of, for the layer that settles it.
    pub(crate) fn held_attempt(&mut self) -> Attempt {
        let attempt = self.attempt_or_begin();
        if !attempt.note_held() {
            self.attempt.become_repeated();
            self.attempt.note_held();
            self.attempt.note_readers(self.readers);
        }
        self.attempt.clone()
    }

    /// The attempt that this is the body of, for the layer that reads its answer; and how many do so from
    /// that one on up.
    pub(crate) fn sent_attempt(&mut self) -> (Attempt, u8) {
        let before = self.attempt_or_begin();
        let above = self.readers;
        self.readers = above.saturating_add(1);
        if !before.note_sent(above) {
            self.attempt.become_repeated();
            self.attempt.note_readers(self.readers);
            self.attempt.send_unseen(&before);
        }
        (self.attempt.clone(), self.readers)
    }

    /// Returns whether it may be sent, for a transport that queues requests before it sends them. An empty
    /// body is taken by this, because a transport may send it without polling it.
    #[must_use]
    pub fn may_be_sent(&self) -> bool {
        if self.is_empty() {
            self.take()
        } else {
            !self.begun || !self.attempt.is_withdrawn()
        }
    }

    pub(crate) fn attempt_handle(&self) -> Option<Attempt> {
        self.begun.then(|| self.attempt.clone())
    }

    fn take(&self) -> bool {
        if !self.begun {
            // No layer below will tell what becomes of it.
            return self.progress().take_unbegun();
        }
        // Empty ones are asked for more than once, and are harmless.
        if self.is_empty() {
            self.attempt.take()
        } else {
            self.attempt.take_once()
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        let bytes = self.bytes().clone();
        let taken = self.take();
        self.spent = true;
        if taken {
            return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
        }
        Poll::Ready(Some(Err(Withdrawn::new())))
    }

    fn is_end_stream(&self) -> bool {
        // Transports ask this of an empty body in place of polling it.
        self.is_empty() && self.take()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

/// The body was withdrawn before it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request was withdrawn before it was sent")]
pub struct Withdrawn(());

impl Withdrawn {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("kind", &self.kind())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
