//! [`CallId`] and [`Reason`], and the extension of a request by which the layers of this crate share them.

use std::{fmt, pin::Pin, sync::Arc};

use clerk_actor_tokens::{ActorTokenRequest, Error, Operation, server::Inbound};
use http::{Extensions, HeaderName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The identity of a call. It is created here and never taken from the caller.
///
/// Ids sort by the time at which they were created, to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(#[serde(with = "uuid::serde::simple")] Uuid);

impl CallId {
    /// Creates a new id.
    #[must_use]
    pub fn create() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the id of a call from the extensions of its request, below [`AuditLayer`](crate::AuditLayer)
    /// or [`AttributionLayer`](crate::AttributionLayer).
    pub fn of(extensions: &Extensions) -> Option<Self> {
        CallContext::of(extensions).map(|context| context.call)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.simple().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

/// Why a user is impersonated, in the words of the person who does it.
///
/// The host may insert it into the extensions of the request, such as from a form. A claim `reason` of
/// the actor and a header [`x-impersonation-reason`](Self::HEADER) take precedence.
///
/// `Debug` does not show the text, because it may name people.
///
/// ```
/// use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken};
/// use clerk_actor_tokens_policy::Reason;
///
/// let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
/// let mut request = ActorTokenRequest::create(create);
/// assert!(Reason::of(&request).is_none());
/// request.extensions_mut().insert(Reason::new("ticket 4711"));
/// assert_eq!(Reason::of(&request).unwrap().as_str(), "ticket 4711");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Reason(Arc<str>);

impl Reason {
    /// The header that a caller may set, on the request or on the wire.
    pub const HEADER: HeaderName = HeaderName::from_static("x-impersonation-reason");

    /// The claim of the actor.
    pub(crate) const CLAIM: &str = "reason";

    /// Takes the text without outer white space.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_text(self) -> Arc<str> {
        self.0
    }

    /// Returns the reason of a request, if it has one that is not empty: the claim `reason` of the actor,
    /// else the header, else the extension.
    ///
    /// Below [`AttributionLayer`](crate::AttributionLayer) it is the whole reason, also if the claim was
    /// cut.
    pub fn of(request: &ActorTokenRequest) -> Option<Self> {
        let extensions = request.extensions();
        if let Some(reason) = CallContext::of(extensions).and_then(|it| it.reason.as_ref()) {
            return reason.clone();
        }
        let claim = match request.operation() {
            Operation::Create(create) => create.actor().claims().get(Self::CLAIM),
            _ => None,
        };
        let claim = claim.and_then(Value::as_str).map(Self::new);
        let headers = [
            Some(request.headers()),
            extensions.get().map(Inbound::headers),
        ];
        let header = headers.into_iter().flatten().filter_map(|headers| {
            let value = headers.get(Self::HEADER)?;
            Some(Self::new(String::from_utf8_lossy(value.as_bytes())))
        });
        let candidates = claim.into_iter().chain(header);
        candidates
            .chain(extensions.get().cloned())
            .find(|reason| !reason.0.is_empty())
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reason")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}

/// The record of a call, as the barrier finds it in the extensions of the request.
pub(crate) trait Barrier: Send + Sync {
    /// Writes that the call is about to be sent, once for all clones of its request.
    fn sending(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
}

/// The facts of a call that the layers above put into the extensions of the request for those below. It is
/// one type, because the layers below clone the box of each extension.
#[derive(Clone)]
pub(crate) struct CallContext {
    pub(crate) call: CallId,
    /// The record of the call, until the barrier takes it.
    pub(crate) barrier: Option<Arc<dyn Barrier>>,
    /// The reason of an attributed call, before Attribution cut it.
    pub(crate) reason: Option<Option<Reason>>,
}

impl CallContext {
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Returns the context of this call. It keeps what a layer above has put into it.
    pub(crate) fn of_call(call: CallId, extensions: &mut Extensions) -> &mut Self {
        let context = extensions.get_or_insert_with(|| Self {
            call,
            barrier: None,
            reason: None,
        });
        context.call = call;
        context
    }
}
