//! [`ActorTokenRequest`], what a call asks for.

mod actor;
mod create_actor_token;
mod invalid;

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};

pub use self::{actor::Actor, create_actor_token::CreateActorToken, invalid::InvalidRequest};
use crate::{ActorTokenId, BaseUrl, OperationKind, RetryConfig, call::Call};

/// What to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Mint a token.
    Create(CreateActorToken),
    /// Revoke a pending token.
    Revoke(ActorTokenId),
}

impl Operation {
    /// Which of the two it is.
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
/// This is the request type of the call level. What stands in the extensions reaches every layer,
/// those of users included.
///
/// A clone is a call of its own. One that a layer makes of a call under way is part of that: the call's error
/// tells of both, and when it has told that nothing was sent, nothing of it is sent any more. For a call
/// of its own later on, a layer makes a request anew of [`operation`](Self::operation).
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken};
///
/// let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
/// let request = ActorTokenRequest::create(create).timeout(Duration::from_secs(5));
/// # let _ = request;
/// ```
pub struct ActorTokenRequest {
    operation: Operation,
    // Boxed, for most requests have none, and every layer moves them.
    headers: Option<Box<HeaderMap>>,
    extensions: Extensions,
    call: Call,
}

impl ActorTokenRequest {
    fn new(operation: Operation) -> Self {
        Self {
            operation,
            headers: None,
            extensions: Extensions::new(),
            call: Call::default(),
        }
    }

    /// A request to mint a token.
    #[must_use]
    pub fn create(create: CreateActorToken) -> Self {
        Self::new(Operation::Create(create))
    }

    /// A request to revoke a token.
    #[must_use]
    pub fn revoke(id: ActorTokenId) -> Self {
        Self::new(Operation::Revoke(id))
    }

    /// The longest this call may take, attempts and pauses included, in place of the client's.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.options_mut().timeout = Some(timeout);
        self
    }

    /// The longest each attempt of this call may take, in place of the client's.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.call.options_mut().attempt_timeout = Some(timeout);
        self
    }

    /// How this call is retried, in place of the client's configuration.
    #[must_use]
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.call.options_mut().retry = Some(Arc::new(config));
        self
    }

    /// Where this call goes, in place of the client's base URL. Another scheme, host or port than
    /// the client's is refused, unless the builder
    /// [allowed it](crate::ClientBuilder::allow_base_url).
    #[must_use]
    pub fn base_url(mut self, base_url: BaseUrl) -> Self {
        self.call.options_mut().base_url = Some(base_url);
        self
    }

    /// Adds a header to every attempt of this call. Headers that the stack itself must set
    /// (`authorization`, `host`, `content-length`, …) are refused when the request is sent; what
    /// [`ApiHeadersLayer`](crate::layer::ApiHeadersLayer) sets otherwise is replaced, but for
    /// `clerk-api-version` and `user-agent`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers_mut().append(name, value);
        self
    }

    /// What to do.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// What to do, for layers that complete or change it.
    pub fn operation_mut(&mut self) -> &mut Operation {
        &mut self.operation
    }

    /// The headers that every attempt of this call carries.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        self.headers.as_deref().unwrap_or_else(|| &NONE)
    }

    /// The headers that every attempt of this call carries.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.get_or_insert_default()
    }

    /// Values for the layers of this call.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Values for the layers of this call.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    pub(crate) fn call_mut(&mut self) -> &mut Call {
        &mut self.call
    }

    pub(crate) fn into_parts(self) -> (Operation, Option<Box<HeaderMap>>, Extensions, Call) {
        (self.operation, self.headers, self.extensions, self.call)
    }
}

impl Clone for ActorTokenRequest {
    fn clone(&self) -> Self {
        Self {
            operation: self.operation.clone(),
            headers: self.headers.clone(),
            extensions: self.extensions.clone(),
            call: self.call.renewed(),
        }
    }
}

impl From<CreateActorToken> for ActorTokenRequest {
    fn from(create: CreateActorToken) -> Self {
        Self::create(create)
    }
}

impl fmt::Debug for ActorTokenRequest {
    /// Shows the operation and the names of the headers; their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorTokenRequest")
            .field("operation", &self.operation)
            .field("headers", &self.headers().keys().collect::<Vec<_>>())
            .field("options", &self.call.options())
            .finish_non_exhaustive()
    }
}
