//! Lets an [`Authorizer`] allow or deny a create before anything is sent.
//!
//! [`Policy`] is an authorizer by rules, which are data. Yours may ask a directory or a ticket system.
//!
//! # Position
//!
//! A call layer above [`RateLimitLayer`](crate::RateLimitLayer), so that a denied call takes no unit of a
//! limit, and above the call's timeout: the layer has its own, of two seconds. It holds the readiness of
//! the layers below while it waits.
//!
//! Other operations pass, because a revoke only reduces what can be done with a token, and an authorizer
//! that is down must not keep a token alive. [`AuthorizeLayer::all_operations`] asks about them, too.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
//! use clerk_actor_tokens_policy::{AuthorizeLayer, Policy};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
//! let policy: Policy = toml::from_str(
//!     r#"
//!     version = "1"
//!     lifetime = { default = 300, longest = 900 }
//!     session = { default = 600, longest = 1800 }
//!     "#,
//! )?;
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .call_layer(AuthorizeLayer::new(policy))
//!     .build()?;
//!
//! let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
//! let error = client.create(create).await.unwrap_err();
//! assert_eq!(error.clerk_errors().unwrap().errors[0].meta["rule"], "principal");
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future aborts the authorizer, or drops the inner future.
//!
//! # Errors
//!
//! [`Error::refused`] with the name of the rule as `meta.rule`: the [`Denial`] of the authorizer, with the
//! code [`Denial::CODE`]; 503 with the code [`UNAVAILABLE`] when the authorizer fails (`authorizer.error`),
//! panics (`authorizer.panic`) or takes too long (`authorizer.timeout`). Errors of the inner service pass
//! unchanged.

mod decision;
mod list;
mod policy;
mod shared;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use clerk_actor_tokens::{ActorTokenRequest, Error, Operation, OperationKind};
use http::StatusCode;
use tokio::{runtime::Handle, task::JoinSet, time::timeout};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;

pub use self::{
    decision::{Ask, Authorizer, Decision, Denial, Narrowing},
    policy::{InvalidPolicy, Policy},
    shared::SharedPolicy,
};
pub use crate::future::ResponseFuture;
use crate::{
    refusal::refusal,
    telemetry::{self, Facts, Stage},
};

/// The code of the error of a call about which no decision could be made.
pub const UNAVAILABLE: &str = "authorizer_unavailable";

/// Layer of [`Authorize`].
#[derive(Debug)]
pub struct AuthorizeLayer<A> {
    authorizer: Arc<A>,
    limit: Duration,
    creates_only: bool,
}

impl<A: Authorizer> AuthorizeLayer<A> {
    /// Asks `authorizer` about every create.
    pub fn new(authorizer: A) -> Self {
        Self {
            authorizer: Arc::new(authorizer),
            limit: Duration::from_secs(2),
            creates_only: true,
        }
    }

    /// Limits the time of a decision. Default: 2 s.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Asks about revokes, too. A revoke about which no decision can be made is then refused, and its
    /// token stays usable. Default: only creates are asked about.
    #[must_use]
    pub fn all_operations(mut self) -> Self {
        self.creates_only = false;
        self
    }

    /// Returns the narrowed request, or the error of a refusal.
    async fn decide<E: From<Error>>(
        self,
        request: ActorTokenRequest,
    ) -> Result<ActorTokenRequest, E> {
        let facts = Facts::of(&request);
        let decided = match self.authorizer.authorize_now(&Ask::new(&request)) {
            Some(decision) => carry_out(decision, request),
            None => Box::pin(self.ask(request)).await,
        };
        decided.map_err(|(rule, error)| {
            telemetry::refused(Stage::Authorize, rule, facts);
            error.into()
        })
    }

    /// Returns the narrowed request, or the refusal and its rule. The authorizer may wait.
    async fn ask(
        self,
        request: ActorTokenRequest,
    ) -> Result<ActorTokenRequest, (&'static str, Error)> {
        let unavailable = |rule, sentence| {
            let error = refusal(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, rule, sentence);
            (rule, error)
        };
        if Handle::try_current().is_err() {
            let sentence = "The call must be made on a tokio runtime.";
            return Err(unavailable("authorizer.runtime", sentence));
        }
        // A task catches panics, and the set aborts it when the call is dropped.
        let mut task = JoinSet::new();
        task.spawn(
            async move {
                let decision = self.authorizer.authorize(Ask::new(&request)).await;
                (request, decision)
            }
            .in_current_span(),
        );
        let (request, decision) = match timeout(self.limit, task.join_next()).await {
            Ok(Some(Ok(decided))) => decided,
            Ok(_) => {
                let sentence = "The authorizer of this call panicked.";
                return Err(unavailable("authorizer.panic", sentence));
            }
            Err(_) => {
                let sentence = "The authorizer of this call took too long.";
                return Err(unavailable("authorizer.timeout", sentence));
            }
        };
        let decision = decision.map_err(|source| {
            let sentence = "The authorizer of this call failed.";
            let (rule, error) = unavailable("authorizer.error", sentence);
            (rule, error.with_source(source))
        })?;
        carry_out(decision, request)
    }
}

/// Returns the narrowed request, or the refusal and its rule.
fn carry_out(
    decision: Decision,
    mut request: ActorTokenRequest,
) -> Result<ActorTokenRequest, (&'static str, Error)> {
    match decision {
        Decision::Allow(narrowing) => {
            if let Operation::Create(create) = request.operation_mut() {
                narrowing.narrow(create);
            }
            telemetry::passed(Stage::Authorize);
            Ok(request)
        }
        Decision::Deny(denial) => Err((denial.rule(), denial.into_error())),
    }
}

impl<A> Clone for AuthorizeLayer<A> {
    fn clone(&self) -> Self {
        Self {
            authorizer: Arc::clone(&self.authorizer),
            ..*self
        }
    }
}

impl<A, S> Layer<S> for AuthorizeLayer<A> {
    type Service = Authorize<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Authorize { inner, layer }
    }
}

/// Lets an authorizer allow or deny a create, see the [module](self).
#[derive(Debug)]
pub struct Authorize<A, S> {
    inner: S,
    layer: AuthorizeLayer<A>,
}

impl<A, S: Clone> Clone for Authorize<A, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<A, S> Service<ActorTokenRequest> for Authorize<A, S>
where
    A: Authorizer,
    S: Service<ActorTokenRequest, Error: From<Error>, Future: Send> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        let is_create = request.operation().kind() == OperationKind::Create;
        if self.layer.creates_only && !is_create {
            return ResponseFuture::called(self.inner.call(request));
        }
        let decision = self.layer.clone().decide(request);
        ResponseFuture::decided(&mut self.inner, decision, S::call)
    }
}
