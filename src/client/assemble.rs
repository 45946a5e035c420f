//! The default stack assembled, and its parts.

use std::sync::Arc;

use tower_layer::Layer;

use super::{
    AttemptLevel, AttemptService, CallLevel, CallService, Client, ClientBuilder, ConfigError,
    Layers, ObserverLevel, ObserverService, Parts, SingleAttempt, WireService,
    stack::TransportSource,
};
use crate::layer::{
    ApiHeadersLayer, BaseUriLayer, BearerAuth, BearerAuthLayer, CollectBodyLayer, DecodeErrorLayer,
    Json, JsonLayer, RetryLayer, SettleLayer, Timeout, TimeoutLayer, TraceCallLayer, TraceLayer,
    TypedErrorLayer,
};
#[cfg(feature = "sessions")]
use crate::sessions::Sessions;

// The bounds are on the methods, because the compiler shows the notes of `stack.rs` only there.
/// # Build
impl<O, C, A, W, T> ClientBuilder<Layers<O, C, A, W>, T>
where
    T: TransportSource,
{
    /// Builds the client.
    ///
    /// # Errors
    ///
    /// When a setting is invalid, or the default transport cannot be set up.
    pub fn build(self) -> Result<Client, ConfigError>
    where
        W: Layer<BearerAuth<T::Transport>, Service: WireService>,
        A: Layer<SingleAttempt<W, T::Transport>, Service: AttemptService>,
        C: Layer<Timeout<Json<AttemptLevel<A, W, T::Transport>>>, Service: CallService>,
        O: Layer<CallLevel<C, A, W, T::Transport>>,
        ObserverLevel<O, C, A, W, T::Transport>: ObserverService,
    {
        let (service, parts) = self.assemble()?;
        Ok(Client::assembled(service, parts))
    }

    /// Builds a [blocking client](crate::blocking::Client), for programs without an async runtime.
    ///
    /// # Errors
    ///
    /// See [`build`](Self::build), and when its thread cannot be started.
    #[cfg(feature = "blocking")]
    pub fn build_blocking(self) -> Result<crate::blocking::Client, ConfigError>
    where
        W: Layer<BearerAuth<T::Transport>, Service: WireService>,
        A: Layer<SingleAttempt<W, T::Transport>, Service: AttemptService>,
        C: Layer<Timeout<Json<AttemptLevel<A, W, T::Transport>>>, Service: CallService>,
        O: Layer<CallLevel<C, A, W, T::Transport>>,
        ObserverLevel<O, C, A, W, T::Transport>: ObserverService,
    {
        crate::blocking::Client::start(|| self.build())
    }

    /// Returns the whole stack, unboxed, with a named future.
    ///
    /// ```
    /// use clerk_actor_tokens::{
    ///     Actor, ActorTokenRequest, ClientBuilder, CreateActorToken, sandbox::Sandbox,
    /// };
    /// use tower::{Service, ServiceExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
    /// let sandbox = Sandbox::new();
    /// let builder = ClientBuilder::over(sandbox.secret_key(), sandbox.transport());
    /// let settle = builder.settle_layer(); // its `drain` replaces that of a client
    /// let mut service = builder.service()?;
    ///
    /// let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    /// let token = service.ready().await?.call(ActorTokenRequest::create(create)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`build`](Self::build).
    pub fn service(self) -> Result<ObserverLevel<O, C, A, W, T::Transport>, ConfigError>
    where
        W: Layer<BearerAuth<T::Transport>, Service: WireService>,
        A: Layer<SingleAttempt<W, T::Transport>, Service: AttemptService>,
        C: Layer<Timeout<Json<AttemptLevel<A, W, T::Transport>>>, Service: CallService>,
        O: Layer<CallLevel<C, A, W, T::Transport>>,
    {
        self.assemble().map(|(service, _)| service)
    }

    /// Returns the whole stack, and the other parts of a client.
    #[allow(clippy::type_complexity)]
    fn assemble(self) -> Result<(ObserverLevel<O, C, A, W, T::Transport>, Parts), ConfigError>
    where
        W: Layer<BearerAuth<T::Transport>, Service: WireService>,
        A: Layer<SingleAttempt<W, T::Transport>, Service: AttemptService>,
        C: Layer<Timeout<Json<AttemptLevel<A, W, T::Transport>>>, Service: CallService>,
        O: Layer<CallLevel<C, A, W, T::Transport>>,
    {
        self.settings.check()?;
        let bearer_auth = self.bearer_auth_layer();
        let api_headers = self.api_headers_layer();
        let base_uri = self.base_uri_layer();
        let collect_body = self.collect_body_layer();
        let settle = self.settle_layer();
        let attempt_timeout = self.attempt_timeout_layer();
        let trace = self.trace_layer();
        let retry = self.retry_layer();
        let call_timeout = self.call_timeout_layer();
        let trace_call = self.trace_call_layer();

        // Bottom up: a request passes the last one first.
        let svc = self.transport.into_transport()?;
        // The key is added last, so that no layer above can log it.
        let svc = bearer_auth.layer(svc);
        // Wire layers see every attempt, but not the key.
        let svc = self.layers.wire.layer(svc);
        // Headers are added below retry, so that a request is cheap to clone for the next attempt.
        let svc = api_headers.layer(svc);
        let svc = base_uri.layer(svc);
        // The body is read inside the attempt, so that its timeout and its connection reuse are right.
        let svc = collect_body.layer(svc);
        // Settle is below every layer that may drop an attempt, so that no drop loses a token.
        let svc = settle.layer(svc);
        let settler = Arc::clone(&svc.settler);
        let svc = attempt_timeout.layer(svc);
        // Errors are typed below retry, so that retry decides on facts.
        let svc = DecodeErrorLayer::new().layer(svc);
        // The span of an attempt includes its body and its typed error.
        let svc = trace.layer(svc);
        // Attempt layers may repeat an attempt, and each has a span of its own.
        let svc = self.layers.attempt.layer(svc);
        let svc = retry.layer(svc);
        let parts = Parts {
            settler,
            // Sessions share the attempt level, and with it the retry budget.
            #[cfg(feature = "sessions")]
            sessions: Some(Sessions::over(svc.clone(), self.settings.call_timeout)),
        };
        // A 200 is decoded above retry, so that one that does not decode is never sent again.
        let svc = JsonLayer::new().layer(svc);
        // The call's time covers attempts and backoff.
        let svc = call_timeout.layer(svc);
        let svc = self.layers.call.layer(svc);
        // Every failure below gets an outcome, including the errors of call layers.
        let svc = TypedErrorLayer::new().layer(svc);
        // Observers see every result as it is returned.
        let svc = self.layers.observer.layer(svc);
        // The span of a call covers all of it.
        Ok((trace_call.layer(svc), parts))
    }
}

/// # Parts
///
/// The layers of the client, to assemble a stack yourself. They do not report an invalid setting, so set
/// parsed values, such as a [`BaseUrl`](crate::BaseUrl).
impl<L, T> ClientBuilder<L, T> {
    /// Returns the call's [`TimeoutLayer`].
    pub fn call_timeout_layer(&self) -> TimeoutLayer {
        TimeoutLayer::new(self.settings.call_timeout)
    }

    /// Returns the [`RetryLayer`]. Each has its own budget, which its services share.
    pub fn retry_layer(&self) -> RetryLayer {
        let settings = &self.settings;
        RetryLayer::with_classifier(settings.retry.clone(), settings.classifier.clone())
    }

    /// Returns the [`TraceCallLayer`].
    pub fn trace_call_layer(&self) -> TraceCallLayer {
        self.settings.trace_call.clone()
    }

    /// Returns the [`TraceLayer`].
    pub fn trace_layer(&self) -> TraceLayer {
        let settings = &self.settings;
        let layer = settings.trace.clone().base_url(settings.base_url.clone());
        let allowed = settings.allowed.iter().cloned();
        allowed.fold(layer, TraceLayer::allow)
    }

    /// Returns the attempt's [`TimeoutLayer`].
    pub fn attempt_timeout_layer(&self) -> TimeoutLayer {
        TimeoutLayer::new(self.settings.attempt_timeout)
    }

    /// Returns the [`SettleLayer`]. It shares counters and draining with the client of this builder.
    pub fn settle_layer(&self) -> SettleLayer {
        self.settings.settle.clone().trace(self.trace_layer())
    }

    /// Returns the [`CollectBodyLayer`].
    pub fn collect_body_layer(&self) -> CollectBodyLayer {
        self.settings
            .max_response_bytes
            .map_or_else(CollectBodyLayer::default, CollectBodyLayer::new)
    }

    /// Returns the [`BaseUriLayer`].
    pub fn base_uri_layer(&self) -> BaseUriLayer {
        let layer = BaseUriLayer::new(self.settings.base_url.clone());
        let allowed = self.settings.allowed.iter().cloned();
        allowed.fold(layer, BaseUriLayer::allow)
    }

    /// Returns the [`ApiHeadersLayer`].
    pub fn api_headers_layer(&self) -> ApiHeadersLayer {
        let settings = &self.settings;
        ApiHeadersLayer::with_defaults(settings.api_version.clone(), settings.headers.clone())
    }

    /// Returns the [`BearerAuthLayer`].
    pub fn bearer_auth_layer(&self) -> BearerAuthLayer {
        let settings = &self.settings;
        let layer = BearerAuthLayer::new(settings.key.clone(), settings.base_url.clone());
        let allowed = settings.allowed.iter().cloned();
        allowed.fold(layer, BearerAuthLayer::allow)
    }
}
