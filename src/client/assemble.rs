//! The default stack assembled, and its parts one by one.

use std::sync::Arc;

use tower_layer::Layer;

use super::{
    AttemptLevel, CallLevel, CallService, Client, ClientBuilder, ConfigError,
    stack::{TransportSource, WireService},
};
use crate::layer::{
    ApiHeadersLayer, BaseUriLayer, BearerAuth, BearerAuthLayer, CollectBodyLayer, DecodeErrorLayer,
    Json, JsonLayer, RetryLayer, SettleLayer, Timeout, TimeoutLayer, TraceCallLayer, TraceLayer,
    TypedErrorLayer, settle::Settler,
};

impl<C, A, T> ClientBuilder<C, A, T> {
    /// The call's [`TimeoutLayer`].
    pub fn call_timeout_layer(&self) -> TimeoutLayer {
        TimeoutLayer::new(self.settings.call_timeout)
    }

    /// The [`RetryLayer`]. Each has a budget of its own, which the services that it makes share.
    pub fn retry_layer(&self) -> RetryLayer {
        RetryLayer::new(self.settings.retry.clone())
            .with_classifier(self.settings.classifier.clone())
    }

    /// The [`TraceCallLayer`].
    pub fn trace_call_layer(&self) -> TraceCallLayer {
        self.settings.trace_call.clone()
    }

    /// The [`TraceLayer`].
    pub fn trace_layer(&self) -> TraceLayer {
        let settings = &self.settings;
        let layer = settings.trace.clone().base_url(settings.base_url.clone());
        settings
            .allowed
            .iter()
            .cloned()
            .fold(layer, TraceLayer::allow)
    }

    /// The attempt's [`TimeoutLayer`].
    pub fn attempt_timeout_layer(&self) -> TimeoutLayer {
        TimeoutLayer::new(self.settings.attempt_timeout)
    }

    /// The [`SettleLayer`], the very one that the client of this builder has, so that it counts and
    /// drains what that does.
    pub fn settle_layer(&self) -> SettleLayer {
        self.settings.settle.clone().trace(self.trace_layer())
    }

    /// The [`CollectBodyLayer`].
    pub fn collect_body_layer(&self) -> CollectBodyLayer {
        self.settings
            .max_response_bytes
            .map_or_else(CollectBodyLayer::default, CollectBodyLayer::new)
    }

    /// The [`BaseUriLayer`].
    pub fn base_uri_layer(&self) -> BaseUriLayer {
        let layer = BaseUriLayer::new(self.settings.base_url.clone());
        self.settings
            .allowed
            .iter()
            .cloned()
            .fold(layer, BaseUriLayer::allow)
    }

    /// The [`ApiHeadersLayer`].
    pub fn api_headers_layer(&self) -> ApiHeadersLayer {
        ApiHeadersLayer::new(self.settings.api_version.clone())
    }

    /// The [`BearerAuthLayer`].
    pub fn bearer_auth_layer(&self) -> BearerAuthLayer {
        let settings = &self.settings;
        let layer = BearerAuthLayer::new(settings.key.clone(), settings.base_url.clone());
        settings
            .allowed
            .iter()
            .cloned()
            .fold(layer, BearerAuthLayer::allow)
    }

    /// The whole stack, unboxed, its future named.
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
    /// let settle = builder.settle_layer(); // without a client, this drains it
    /// let mut service = builder.service()?;
    ///
    /// let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    /// let token = service.ready().await?.call(ActorTokenRequest::create(create)).await?;
    /// # drop((token, settle));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the default transport cannot be set up; never with a transport of one's own.
    pub fn service(self) -> Result<CallLevel<C, A, T::Transport>, ConfigError>
    where
        T: TransportSource,
        A: Layer<BearerAuth<T::Transport>, Service: WireService>,
        C: Layer<Timeout<Json<AttemptLevel<A, T::Transport>>>>,
    {
        self.assemble().map(|(service, _)| service)
    }

    /// The whole stack, and what settles its creates.
    #[allow(clippy::type_complexity)]
    fn assemble(self) -> Result<(CallLevel<C, A, T::Transport>, Arc<Settler>), ConfigError>
    where
        T: TransportSource,
        A: Layer<BearerAuth<T::Transport>, Service: WireService>,
        C: Layer<Timeout<Json<AttemptLevel<A, T::Transport>>>>,
    {
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

        // Bottom up, as a request passes it last to first.
        let svc = self.transport.into_transport()?;
        // The key goes in last, so that nothing above can log it.
        let svc = bearer_auth.layer(svc);
        // Users' wire layers see every attempt, and what of it is not secret.
        let svc = self.wire_layers.layer(svc);
        // Headers are added below retry, so that a request is cheap to clone for the next attempt.
        let svc = api_headers.layer(svc);
        let svc = base_uri.layer(svc);
        // The body is read inside the attempt, so that time-out and connection reuse are right.
        let svc = collect_body.layer(svc);
        // Below everything that may drop an attempt, so that no drop loses what it mints.
        let svc = settle.layer(svc);
        let settler = Arc::clone(svc.settler());
        let svc = attempt_timeout.layer(svc);
        // Errors are typed below retry, so that retry decides on facts.
        let svc = DecodeErrorLayer::new().layer(svc);
        // An attempt's span lasts from where it begins to its typed error, its body included.
        let svc = trace.layer(svc);
        let svc = retry.layer(svc);
        // A 200 is decoded above retry, so that one that does not decode is never sent again.
        let svc = JsonLayer::new().layer(svc);
        // The call's time covers attempts and pauses.
        let svc = call_timeout.layer(svc);
        let svc = self.call_layers.layer(svc);
        // Whatever failed below has an outcome, errors of users' layers included.
        let svc = TypedErrorLayer::new().layer(svc);
        // The call's span covers all that there is, and sees how it really ended.
        Ok((trace_call.layer(svc), settler))
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// When the default transport cannot be set up; never with a transport of one's own.
    pub fn build(self) -> Result<Client, ConfigError>
    where
        T: TransportSource,
        A: Layer<BearerAuth<T::Transport>, Service: WireService>,
        C: Layer<Timeout<Json<AttemptLevel<A, T::Transport>>>>,
        CallLevel<C, A, T::Transport>: CallService,
    {
        self.assemble()
            .map(|(service, settler)| Client::assembled(service, settler))
    }
}
