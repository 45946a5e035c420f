//! [`Payload`], the request body of a call's attempts, and [`Body`], the request body of one attempt.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    ActorTokenId, ActorTokenStatus,
    actor_token::Salvaged,
    call::{Attempt, CallOptions, CallRecord},
};

/// Which of the API's two operations a request is, for layers that see bytes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// Mint a token. Sending it twice mints two.
    Create,
    /// Revoke a token. Sending it twice is harmless.
    Revoke,
}

impl OperationKind {
    /// Returns the operation as one word, as in spans and metrics: `create` or `revoke`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Revoke => "revoke",
        }
    }
}

crate::text::display_as_str!(OperationKind);

/// The encoded body of a call, which every attempt sends: the request body between
/// [`Json`](crate::layer::Json) and [`DecodeError`](crate::layer::DecodeError).
///
/// It is cheap to clone, and cloning it sends nothing. [`DecodeError`](crate::layer::DecodeError) turns
/// each `Payload` it is given into the [`Body`] of one attempt, so a retry or a hedge belongs above it.
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
    parts: Arc<PayloadParts>,
}

pub(crate) struct PayloadParts {
    pub(crate) bytes: Bytes,
    pub(crate) kind: OperationKind,
    /// The token that a revoke is about, if it is known.
    pub(crate) id: Option<ActorTokenId>,
    pub(crate) options: Option<Arc<CallOptions>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) record: Arc<CallRecord>,
}

impl Payload {
    /// Makes the payload of a call of its own.
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

    /// Returns which operation the request is.
    pub fn kind(&self) -> OperationKind {
        self.parts.kind
    }

    /// Returns when the call's time is over, if it has a timeout. A layer that waits must not wait
    /// longer.
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
    #[must_use]
    pub fn begin_attempt(self) -> Body {
        Body {
            attempt: self.parts.record.begin_attempt().index(),
            payload: self,
            rewritten: None,
            is_watched: false,
            is_taken: false,
        }
    }

    /// Returns the token that a revoke is about, if it is known.
    pub(crate) fn id(&self) -> Option<&ActorTokenId> {
        self.parts.id.as_ref()
    }

    /// Returns whether an unusable 200 shows that the request took effect: it names the token that was
    /// asked for.
    pub(crate) fn took_effect_by(&self, found: &Salvaged) -> bool {
        match self.kind() {
            OperationKind::Create => !self.is_about_another_user(found),
            OperationKind::Revoke => {
                let is_revoked = |it: &String| it == ActorTokenStatus::Revoked.as_str();
                self.id().is_none_or(|id| *id == found.id)
                    && found.status.as_ref().is_none_or(is_revoked)
            }
        }
    }

    /// Returns whether the response to this create names another user than the one it asks for. A layer
    /// may have put a body of its own form in place.
    pub(crate) fn is_about_another_user(&self, found: &Salvaged) -> bool {
        #[derive(Deserialize)]
        struct Create {
            user_id: String,
        }
        found.user_id.as_ref().is_some_and(|user_id| {
            serde_json::from_slice(self.as_bytes()).is_ok_and(|it: Create| it.user_id != *user_id)
        })
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.parts.options.as_deref()
    }

    pub(crate) fn record(&self) -> &Arc<CallRecord> {
        &self.parts.record
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("kind", &self.kind())
            .field("len", &self.as_bytes().len())
            .finish_non_exhaustive()
    }
}

/// The request body of one attempt: bytes in one piece, and a handle to the call's record, which notes
/// whether the transport took them.
///
/// A body that no transport took was not sent. That is how a failure is known to be
/// [`NotSent`](crate::Outcome::NotSent), whatever the transport is. Because a create that is sent twice
/// mints two tokens, a `Body` is not `Clone`; a layer that copies its bytes into a new `Body` makes a
/// call of its own.
///
/// A transport reads it like any [`http_body::Body`]. A transport that sends a request without polling
/// the body must call [`Body::into_bytes`]. Layers that sign or measure a request read
/// [`Body::as_bytes`]; layers that rewrite it use [`Body::with_bytes`].
///
/// ```
/// use clerk_actor_tokens::{Body, OperationKind};
///
/// let body = Body::new(OperationKind::Create, r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#);
/// assert_eq!(body.kind(), OperationKind::Create);
/// assert_eq!(format!("{body:?}"), "Body { kind: Create, len: 45, .. }");
/// ```
pub struct Body {
    payload: Payload,
    /// The index of the attempt in the record of its call.
    attempt: u32,
    /// The bytes that a layer put in place of those of the payload.
    rewritten: Option<Box<Bytes>>,
    /// A layer notes the response of the transport.
    is_watched: bool,
    /// The bytes are taken when the body is polled.
    is_taken: bool,
}

/// The error of a [`Body`] that was withdrawn before it was sent: its attempt has ended, and nothing
/// of it may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request was withdrawn before it was sent")]
pub struct Withdrawn(());

impl Withdrawn {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Body {
    /// Makes the body of the only attempt of a call of its own.
    ///
    /// Do not replace the body of a request by a new one: its call would not learn what becomes of the
    /// new one and would report it as not sent. Use [`with_bytes`](Self::with_bytes) instead.
    pub fn new(kind: OperationKind, bytes: impl Into<Bytes>) -> Self {
        Payload::new(kind, bytes).begin_attempt()
    }

    /// Replaces the bytes of the same attempt, for layers that rewrite a request. A
    /// [wire layer](crate::ClientBuilder::wire_layer) that does so and has set a `content-length`
    /// corrects that too.
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

    /// Returns which operation the request is.
    pub fn kind(&self) -> OperationKind {
        self.payload.kind()
    }

    /// Returns the number of this attempt within its call, counted from one.
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
    /// When the attempt was given up before: then nothing may be sent any more.
    pub fn into_bytes(mut self) -> Result<Bytes, Withdrawn> {
        self.take().map(Option::unwrap_or_default)
    }

    /// Returns whether the request may still be sent, for transports that queue. A transport that gets
    /// `false` drops the request.
    pub fn may_be_sent(&self) -> bool {
        !self.attempt_handle().is_withdrawn()
    }

    /// Notes that the layer above the transport notes its response.
    pub(crate) fn watch(&mut self) {
        self.is_watched = true;
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.payload.options()
    }

    pub(crate) fn payload(&self) -> &Payload {
        &self.payload
    }

    pub(crate) fn attempt_handle(&self) -> Attempt {
        self.payload.record().attempt(self.attempt)
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
            return Err(Withdrawn::new());
        }
        self.is_taken = true;
        Ok(bytes)
    }

    /// After the call's deadline nothing is sent, so that a process that was stopped cannot send late.
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

    /// Takes an empty body. hyper asks this instead of polling an empty body, directly before it writes
    /// the head, so this is the last moment to withdraw it.
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

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("kind", &self.kind())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;
    use crate::Outcome;

    #[tokio::test]
    async fn polling_a_body_takes_it() {
        let body = Body::new(OperationKind::Create, "{}");
        let attempt = body.attempt_handle();
        assert!(!body.is_end_stream());
        assert_eq!(attempt.record().outcome(), Outcome::NotSent);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
        assert_eq!(attempt.record().outcome(), Outcome::Unknown);
        assert!(!attempt.withdraw());
    }

    #[test]
    fn asking_an_empty_body_for_its_end_takes_it() {
        let body = Body::new(OperationKind::Revoke, "");
        let attempt = body.attempt_handle();
        assert!(body.is_end_stream());
        assert!(!attempt.withdraw());
    }

    #[tokio::test]
    async fn withdrawn_body_fails() {
        for (kind, bytes) in [(OperationKind::Create, "{}"), (OperationKind::Revoke, "")] {
            let withdrawn = || {
                let body = Body::new(kind, bytes);
                assert!(body.attempt_handle().withdraw());
                body
            };
            assert!(!withdrawn().may_be_sent());
            assert!(!withdrawn().is_end_stream());
            assert_eq!(withdrawn().into_bytes(), Err(Withdrawn::new()));
            assert_eq!(withdrawn().collect().await.unwrap_err(), Withdrawn(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn body_cannot_be_taken_after_the_deadline_of_its_call() {
        for (kind, bytes) in [(OperationKind::Create, "{}"), (OperationKind::Revoke, "")] {
            let deadline = Some(Instant::now());
            let payload = Payload::of_call(PayloadParts {
                bytes: bytes.into(),
                kind,
                id: None,
                options: None,
                deadline,
                record: Arc::default(),
            });
            let body = payload.clone().begin_attempt();
            assert!(!body.is_end_stream());
            assert!(body.into_bytes().is_err());
            assert_eq!(payload.record().outcome(), Outcome::NotSent);
        }
    }

    #[test]
    fn attempts_of_one_payload_are_numbered_and_independent() {
        let payload = Payload::new(OperationKind::Create, "{}");
        let (one, two) = (payload.clone().begin_attempt(), payload.begin_attempt());
        assert_eq!((one.attempt(), two.attempt()), (1, 2));
        let first = one.attempt_handle();
        assert!(two.into_bytes().is_ok());
        assert!(first.withdraw());
        assert_eq!(first.record().outcome(), Outcome::Unknown);
    }
}
