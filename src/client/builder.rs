//! [`ClientBuilder`], the default stack assembled.

use std::time::Duration;

use tower_layer::{Identity, Layer, Stack};

#[cfg(feature = "transport")]
use super::stack::DefaultTransport;
use super::{
    CallLevel, CallService, Client, ConfigError, CustomTransport, Transport, stack::TransportSource,
};
use crate::{
    BaseUrl, RetryConfig, SecretKey,
    layer::{
        ApiHeadersLayer, ApiVersion, BaseUriLayer, BearerAuthLayer, CollectBodyLayer,
        DecodeErrorLayer, JsonLayer, RetryLayer, TimeoutLayer, TypedErrorLayer,
    },
};

/// Configures the stack, and where the layers of users stand in it.
///
/// Every layer of the client can also be had alone, configured alike, for a stack that is assembled
/// by hand: [`retry_layer`](Self::retry_layer) and its like.
///
/// | setting | default |
/// |---|---|
/// | base URL | `https://api.clerk.com/v1` |
/// | API version | `2026-05-12` |
/// | call time-out, attempts and pauses included | 30 s |
/// | attempt time-out, head and body | 10 s |
/// | connect time-out, DNS, TCP and TLS together | 3 s |
/// | retry | [`RetryConfig::default`] |
/// | longest answer | 256 KiB |
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder<C, A, T> {
    settings: Settings,
    call_layers: C,
    attempt_layers: A,
    transport: T,
}

#[derive(Clone, Debug)]
struct Settings {
    key: SecretKey,
    base_url: BaseUrl,
    allowed: Vec<BaseUrl>,
    api_version: ApiVersion,
    call_timeout: Duration,
    attempt_timeout: Duration,
    retry: RetryConfig,
    max_response_bytes: Option<usize>,
}

impl Settings {
    fn new(key: SecretKey) -> Self {
        Self {
            key,
            base_url: BaseUrl::default(),
            allowed: Vec::new(),
            api_version: ApiVersion::default(),
            call_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            retry: RetryConfig::default(),
            max_response_bytes: None,
        }
    }
}

#[cfg(feature = "transport")]
impl Client {
    /// Begins to configure a client that sends over the default transport.
    ///
    /// ```
    /// use clerk_actor_tokens::{Client, SecretKey};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder(SecretKey::new("sk_test_1")?).build()?;
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(key: SecretKey) -> ClientBuilder<Identity, Identity, DefaultTransport> {
        ClientBuilder::new(key)
    }

    /// A client configured by the environment, see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// When `CLERK_SECRET_KEY` is not set, a variable holds what it should not, or TLS cannot be set
    /// up.
    pub fn from_env() -> Result<Self, ConfigError> {
        ClientBuilder::from_env()?.build()
    }
}

#[cfg(feature = "transport")]
impl ClientBuilder<Identity, Identity, DefaultTransport> {
    /// Begins to configure a client that sends over the default transport.
    pub fn new(key: SecretKey) -> Self {
        Self {
            settings: Settings::new(key),
            call_layers: Identity::new(),
            attempt_layers: Identity::new(),
            transport: DefaultTransport {
                connect_timeout: Duration::from_secs(3),
            },
        }
    }

    /// Begins with what the environment says: `CLERK_SECRET_KEY`, and, where they are set,
    /// `CLERK_API_URL` and `CLERK_API_VERSION`.
    ///
    /// # Errors
    ///
    /// When `CLERK_SECRET_KEY` is not set, or a variable holds what it should not.
    pub fn from_env() -> Result<Self, ConfigError> {
        let key = variable("CLERK_SECRET_KEY")?.ok_or(ConfigError::Missing {
            variable: "CLERK_SECRET_KEY",
        })?;
        let mut builder = Self::new(SecretKey::new(key).map_err(ConfigError::SecretKey)?);
        if let Some(url) = variable("CLERK_API_URL")? {
            builder = builder.base_url(url.parse().map_err(ConfigError::BaseUrl)?);
        }
        if let Some(version) = variable("CLERK_API_VERSION")? {
            builder = builder.api_version(version.parse().map_err(ConfigError::ApiVersion)?);
        }
        Ok(builder)
    }
}

#[cfg(feature = "transport")]
impl<C, A> ClientBuilder<C, A, DefaultTransport> {
    /// The longest the connect phase of an attempt may take: name resolution, TCP and TLS together.
    /// Default: 3 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.transport.connect_timeout = limit;
        self
    }
}

#[cfg(feature = "transport")]
fn variable(variable: &'static str) -> Result<Option<String>, ConfigError> {
    use std::env::VarError;

    match std::env::var(variable) {
        // A variable set to nothing is how many a deployment says that it is not set.
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(ConfigError::NotUnicode { variable }),
    }
}

impl<T: Transport> ClientBuilder<Identity, Identity, CustomTransport<T>> {
    /// Begins to configure a client that sends over `transport`; for builds without the default one.
    pub fn over(key: SecretKey, transport: T) -> Self {
        Self {
            settings: Settings::new(key),
            call_layers: Identity::new(),
            attempt_layers: Identity::new(),
            transport: CustomTransport(transport),
        }
    }
}

impl<C, A, T> ClientBuilder<C, A, T> {
    /// Where the API is. Default: `https://api.clerk.com/v1`.
    pub fn base_url(mut self, base_url: BaseUrl) -> Self {
        self.settings.base_url = base_url;
        self
    }

    /// Lets calls choose base URLs with the scheme, host and port of `base_url`. **The secret key
    /// goes there, too.** Default: none.
    pub fn allow_base_url(mut self, base_url: BaseUrl) -> Self {
        self.settings.allowed.push(base_url);
        self
    }

    /// The version of the API. Default: `2026-05-12`.
    pub fn api_version(mut self, version: ApiVersion) -> Self {
        self.settings.api_version = version;
        self
    }

    /// The longest a call may take, attempts and pauses included. Default: 30 s.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.settings.call_timeout = limit;
        self
    }

    /// The longest an attempt may take, from connecting to the last byte of the answer. Default:
    /// 10 s.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.settings.attempt_timeout = limit;
        self
    }

    /// How often and how patiently calls are tried.
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.settings.retry = config;
        self
    }

    /// The longest answer that is read, in bytes. Default: 256 KiB.
    pub fn max_response_bytes(mut self, limit: usize) -> Self {
        self.settings.max_response_bytes = Some(limit);
        self
    }

    /// Adds a layer at the call level, once per call over `ActorTokenRequest`s: above the call's
    /// time-out, below the layers that were added before it.
    pub fn call_layer<L>(self, layer: L) -> ClientBuilder<Stack<L, C>, A, T> {
        let Self {
            settings,
            call_layers,
            attempt_layers,
            transport,
        } = self;
        let call_layers = Stack::new(layer, call_layers);
        ClientBuilder {
            settings,
            call_layers,
            attempt_layers,
            transport,
        }
    }

    /// Adds a layer at the wire level, once per attempt over `http::Request<Body>`s: below the base
    /// URL and the API's headers and the layers that were added before it, above the key, which it
    /// never sees.
    pub fn attempt_layer<L>(self, layer: L) -> ClientBuilder<C, Stack<L, A>, T> {
        let Self {
            settings,
            call_layers,
            attempt_layers,
            transport,
        } = self;
        let attempt_layers = Stack::new(layer, attempt_layers);
        ClientBuilder {
            settings,
            call_layers,
            attempt_layers,
            transport,
        }
    }

    /// Sends over `transport` in place of the default one: any
    /// `Service<http::Request<Body>, Response = http::Response<B>>`, below every layer.
    pub fn transport<U: Transport>(self, transport: U) -> ClientBuilder<C, A, CustomTransport<U>> {
        let Self {
            settings,
            call_layers,
            attempt_layers,
            ..
        } = self;
        let transport = CustomTransport(transport);
        ClientBuilder {
            settings,
            call_layers,
            attempt_layers,
            transport,
        }
    }

    /// The call's [`TimeoutLayer`].
    pub fn call_timeout_layer(&self) -> TimeoutLayer {
        TimeoutLayer::new(self.settings.call_timeout)
    }

    /// The [`RetryLayer`]. Each has a budget of its own, which the services that it makes share.
    pub fn retry_layer(&self) -> RetryLayer {
        RetryLayer::new(self.settings.retry.clone())
    }

    /// The attempt's [`TimeoutLayer`].
    pub fn attempt_timeout_layer(&self) -> TimeoutLayer {
        TimeoutLayer::new(self.settings.attempt_timeout)
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
        let layer = BearerAuthLayer::new(&settings.key, settings.base_url.clone());
        settings
            .allowed
            .iter()
            .cloned()
            .fold(layer, BearerAuthLayer::allow)
    }

    /// The whole stack, unboxed, its future named.
    ///
    /// # Errors
    ///
    /// When the default transport cannot be set up; never with a transport of one's own.
    pub fn service(self) -> Result<CallLevel<C, A, T::Transport>, ConfigError>
    where
        T: TransportSource,
        A: Layer<crate::layer::BearerAuth<T::Transport>>,
        C: Layer<crate::layer::Timeout<crate::layer::Json<super::AttemptLevel<A, T::Transport>>>>,
    {
        let bearer_auth = self.bearer_auth_layer();
        let api_headers = self.api_headers_layer();
        let base_uri = self.base_uri_layer();
        let collect_body = self.collect_body_layer();
        let attempt_timeout = self.attempt_timeout_layer();
        let retry = self.retry_layer();
        let call_timeout = self.call_timeout_layer();

        // Bottom up, as a request passes it last to first.
        let svc = self.transport.into_transport()?;
        // The key goes in last, so that nothing above can log it.
        let svc = bearer_auth.layer(svc);
        // Users' attempt layers see every attempt, and what of it is not secret.
        let svc = self.attempt_layers.layer(svc);
        // Headers are added below retry, so that a request is cheap to clone for the next attempt.
        let svc = api_headers.layer(svc);
        let svc = base_uri.layer(svc);
        // The body is read inside the attempt, so that time-out and connection reuse are right.
        let svc = collect_body.layer(svc);
        let svc = attempt_timeout.layer(svc);
        // Errors are typed below retry, so that retry decides on facts.
        let svc = DecodeErrorLayer::new().layer(svc);
        let svc = retry.layer(svc);
        // A 200 is decoded above retry, so that one that does not decode is never sent again.
        let svc = JsonLayer::new().layer(svc);
        // The call's time covers attempts and pauses.
        let svc = call_timeout.layer(svc);
        let svc = self.call_layers.layer(svc);
        // Whatever failed below has an outcome, errors of users' layers included.
        Ok(TypedErrorLayer::new().layer(svc))
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// When the default transport cannot be set up; never with a transport of one's own.
    pub fn build(self) -> Result<Client, ConfigError>
    where
        T: TransportSource,
        A: Layer<crate::layer::BearerAuth<T::Transport>>,
        C: Layer<crate::layer::Timeout<crate::layer::Json<super::AttemptLevel<A, T::Transport>>>>,
        CallLevel<C, A, T::Transport>: CallService,
    {
        self.service().map(Client::from_typed)
    }
}
