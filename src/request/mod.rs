//! [`ActorTokenRequest`], the request type of the call level.

mod actor;
mod create_actor_token;

use std::{fmt, sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

pub use self::{actor::Actor, create_actor_token::CreateActorToken};
use crate::{
    ActorTokenId, BaseUrl, OperationKind, RetryConfig,
    call::{CallOptions, CallRecord, CallWatch},
};

/// One of the API's two operations.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Mint a token.
    Create(CreateActorToken),
    /// Revoke a pending token.
    Revoke(ActorTokenId),
}

impl Operation {
    /// Returns which of the two it is.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Create(_) => OperationKind::Create,
            Self::Revoke(_) => OperationKind::Revoke,
        }
    }
}

/// An [`Operation`] with headers, extensions and the options of this one call.
///
/// This is the request type of the call level. The extensions reach every layer.
///
/// Cloning a request that no client was given yet makes a call of its own. Inside a client, all clones
/// of a request belong to the same call: its error counts the attempts of all of them, and once it
/// reports that nothing was sent, no clone can be sent any more.
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken};
///
/// let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
/// let request = ActorTokenRequest::create(create).timeout(Duration::from_secs(5));
/// # let _ = request;
/// ```
#[derive(Clone)]
pub struct ActorTokenRequest {
    pub(crate) operation: Operation,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
    pub(crate) options: Option<Arc<CallOptions>>,
    /// When the time of the call is over; set by the call's timeout.
    pub(crate) deadline: Option<Instant>,
    /// The record of the call, once an observer or a client has begun one.
    pub(crate) record: Option<Arc<CallRecord>>,
}

impl ActorTokenRequest {
    fn new(operation: Operation) -> Self {
        Self {
            operation,
            headers: HeaderMap::new(),
            extensions: Extensions::new(),
            options: None,
            deadline: None,
            record: None,
        }
    }

    /// Makes a request to mint a token.
    #[must_use]
    pub fn create(create: CreateActorToken) -> Self {
        Self::new(Operation::Create(create))
    }

    /// Makes a request to revoke a token.
    #[must_use]
    pub fn revoke(id: ActorTokenId) -> Self {
        Self::new(Operation::Revoke(id))
    }

    /// Sets the longest this call may take, attempts and backoff included, in place of the client's
    /// limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options_mut().timeout = Some(timeout);
        self
    }

    /// Sets the longest each attempt of this call may take, in place of the client's limit.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.options_mut().attempt_timeout = Some(timeout);
        self
    }

    /// Sets how this call is retried, in place of the client's configuration.
    #[must_use]
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.options_mut().retry = Some(Arc::new(config));
        self
    }

    /// Sets where this call goes, in place of the client's base URL. Another scheme, host or port than
    /// the client's is refused, unless the builder
    /// [allowed it](crate::ClientBuilder::allow_base_url).
    #[must_use]
    pub fn base_url(mut self, base_url: BaseUrl) -> Self {
        self.options_mut().base_url = Some(base_url);
        self
    }

    /// Adds a header to every attempt of this call. Headers that only the stack sets
    /// (`authorization`, `host`, `content-length`, …) are refused when the request is sent. The other
    /// headers of [`ApiHeadersLayer`](crate::layer::ApiHeadersLayer) are replaced, except
    /// `clerk-api-version` and `user-agent`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Returns the operation.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Returns the operation, for layers that complete or change it.
    pub fn operation_mut(&mut self) -> &mut Operation {
        &mut self.operation
    }

    /// Returns the headers that every attempt of this call carries.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the headers that every attempt of this call carries.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Returns values for the layers of this call.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Returns values for the layers of this call.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Begins to watch the call, for observers: the watch says what became of it, even if the call is
    /// cancelled.
    pub fn watch(&mut self) -> CallWatch {
        let record = CallRecord::inside(self.record.take());
        CallWatch::new(Arc::clone(self.record.insert(record)))
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.options.as_deref()
    }

    fn options_mut(&mut self) -> &mut CallOptions {
        Arc::make_mut(self.options.get_or_insert_default())
    }
}

impl From<CreateActorToken> for ActorTokenRequest {
    fn from(create: CreateActorToken) -> Self {
        Self::create(create)
    }
}

impl From<Operation> for ActorTokenRequest {
    fn from(operation: Operation) -> Self {
        Self::new(operation)
    }
}

impl fmt::Debug for ActorTokenRequest {
    /// Shows the operation and the names of the headers; their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorTokenRequest")
            .field("operation", &self.operation)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Why a request was refused before any I/O. Messages name the field but do not repeat its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The id of the user to sign in as is empty.
    #[error("user_id is empty: pass the id of the user to sign in as")]
    EmptyUserId,
    /// The actor's `sub` is empty.
    #[error("actor.sub is empty: pass the id of the actor")]
    EmptySub,
    /// A claim of the actor is named `sub` and would shadow the actor's own.
    #[error("actor has a claim named \"sub\", which would replace the actor's own")]
    ShadowedSub,
    /// The actor's claims are nested too deeply.
    #[error("actor has claims nested deeper than {limit} levels")]
    DeepClaims {
        /// The deepest nesting that is allowed.
        limit: usize,
    },
    /// A lifetime is not 1 to 2³¹−1 whole seconds.
    #[error("{field} must be whole seconds, at least 1 and at most {max}", max = i32::MAX)]
    Lifetime {
        /// The name of the field in the JSON.
        field: &'static str,
    },
    /// The encoded request is too large.
    #[error("the request body has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The size of the encoded body in bytes.
        bytes: usize,
        /// The largest size that is allowed, in bytes.
        limit: usize,
    },
    /// A header that only the stack may set.
    #[error("the header {name} is set by the client itself and cannot be passed with a call")]
    ReservedHeader {
        /// The name of the header.
        name: HeaderName,
    },
}
