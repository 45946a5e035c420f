//! [`ActorTokenRequest`], the request type of the call level.

mod actor;
mod create_actor_token;

use std::{sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

pub use self::{actor::Actor, create_actor_token::CreateActorToken};
use crate::{
    ActorTokenId, BaseUrl, InvalidRequest, OperationKind, RetryConfig,
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
    /// Returns the kind of the operation.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Create(_) => OperationKind::Create,
            Self::Revoke(_) => OperationKind::Revoke,
        }
    }
}

/// An [`Operation`] with the headers, extensions and options of one call: the request type of the call
/// level. The extensions reach every layer.
///
/// Clones that are made before a client receives the request are separate calls. Inside a client, all
/// clones belong to one call. After its error reports that nothing was sent, no clone can be sent.
///
/// ```
/// use std::time::Duration;
/// use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken};
///
/// let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
/// let request = ActorTokenRequest::create(create)
///     .header("x-request-id", "4711")
///     .timeout(Duration::from_secs(5));
/// assert!(request.validate().is_ok());
/// ```
#[derive(Clone)]
pub struct ActorTokenRequest {
    pub(crate) operation: Operation,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
    pub(crate) options: Option<Arc<CallOptions>>,
    /// The deadline of the call, set by the call's timeout.
    pub(crate) deadline: Option<Instant>,
    /// The record of the call, once an observer or a client has created one.
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

    /// Creates a request to mint a token.
    pub fn create(create: CreateActorToken) -> Self {
        Self::new(Operation::Create(create))
    }

    /// Creates a request to revoke a token.
    pub fn revoke(id: ActorTokenId) -> Self {
        Self::new(Operation::Revoke(id))
    }

    /// Sets the timeout of this call, attempts and backoff included. Default: the client's.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options_mut().timeout = Some(timeout);
        self
    }

    /// Sets the timeout of each attempt of this call. Default: the client's.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.options_mut().attempt_timeout = Some(timeout);
        self
    }

    /// Sets how this call is retried. Default: the client's configuration.
    #[must_use]
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.options_mut().retry = Some(Arc::new(config));
        self
    }

    /// Sets the base URL of this call: a [`BaseUrl`] or a text. Default: the client's.
    ///
    /// The call fails before any I/O if the text is invalid, or if scheme, host and port are neither the
    /// client's nor [allowed](crate::ClientBuilder::allow_base_url).
    #[must_use]
    pub fn base_url(mut self, url: impl TryInto<BaseUrl, Error: Into<InvalidRequest>>) -> Self {
        match url.try_into() {
            Ok(url) => self.options_mut().base_url = Some(url),
            Err(error) => self.keep_invalid(error.into()),
        }
        self
    }

    /// Adds a header to every attempt of this call, and to a compensating revoke: types of [`http`], or texts.
    ///
    /// The call fails before any I/O if the name or the value is invalid, or if only the client may set
    /// the header (`authorization`, `host`, `content-length`, …).
    /// [`ApiHeadersLayer`](crate::layer::ApiHeadersLayer) replaces its headers, except `clerk-api-version`
    /// and `user-agent`.
    #[must_use]
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Self {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => _ = self.headers.append(name, value),
            (Ok(name), Err(_)) => self.keep_invalid(InvalidRequest::HeaderValue { name }),
            (Err(_), _) => self.keep_invalid(InvalidRequest::HeaderName),
        }
        self
    }

    /// Checks the request. A client does so before it sends anything.
    ///
    /// # Errors
    ///
    /// When a header, the base URL or the [create](CreateActorToken::validate) is invalid.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if let Some(invalid) = self.options().and_then(|it| it.invalid.as_ref()) {
            return Err(invalid.clone());
        }
        match &self.operation {
            Operation::Create(create) => create.validate(),
            Operation::Revoke(_) => Ok(()),
        }
    }

    /// Returns the operation.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Returns the operation, for layers that complete or change it.
    pub fn operation_mut(&mut self) -> &mut Operation {
        &mut self.operation
    }

    /// Returns the headers of every attempt of this call.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the headers of every attempt of this call.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Returns values for the layers of this call.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Returns values for the layers of this call.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Returns a watch of the call, for observers. It shows the outcome of a cancelled call too.
    pub fn watch(&mut self) -> CallWatch {
        let record = CallRecord::inside(self.record.take());
        let record = Arc::clone(self.record.insert(record));
        CallWatch { record }
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.options.as_deref()
    }

    /// Keeps the first invalid value, which fails the call.
    fn keep_invalid(&mut self, invalid: InvalidRequest) {
        self.options_mut().invalid.get_or_insert(invalid);
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

// Shows the names of the headers but not their values, which may be secret.
crate::text::opaque_debug!(ActorTokenRequest, |it|
    operation: it.operation, headers: it.headers.keys().collect::<Vec<_>>(), options: it.options);
