//! [`ClientBuilder`]: its constructors and settings.

use std::{fmt::Display, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header::USER_AGENT};

#[cfg(feature = "transport")]
use super::Client;
use super::{ConfigError, CustomTransport, DefaultTransport, Layers, Transport};
#[cfg(feature = "proxy")]
use crate::transport::Proxy;
use crate::{
    BaseUrl, Error, KeySource, OperationKind, RetryConfig,
    layer::{
        ApiVersion, SettleLayer, TraceCallLayer, TraceLayer, is_reserved,
        retry::{Classifier, Verdict},
        settle::SettleEvent,
    },
};

/// A builder of the stack, with places for your layers.
///
/// [`build`](Self::build) returns the first invalid value, such as a base URL without a scheme. Each layer
/// is also available alone, to assemble a stack yourself: [`retry_layer`](Self::retry_layer) and the others.
///
/// | setting | default |
/// |---|---|
/// | base URL | `https://api.clerk.com/v1` |
/// | API version | `2026-05-12` |
/// | call timeout, attempts and backoff included | 30 s |
/// | attempt timeout, head and body | 10 s |
/// | connect timeout, DNS, TCP and TLS together | 3 s |
/// | retry | [`RetryConfig::default`] |
/// | settling | [`SettleLayer::new`]: 1024 creates in flight, lost ones followed for 30 s |
/// | longest response | 256 KiB |
/// | spans of calls and attempts | level INFO |
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder<L = Layers, T = DefaultTransport> {
    pub(super) settings: Settings,
    pub(super) layers: L,
    pub(super) transport: T,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) key: KeySource,
    pub(super) base_url: BaseUrl,
    pub(super) allowed: Vec<BaseUrl>,
    pub(super) api_version: ApiVersion,
    pub(super) headers: HeaderMap,
    pub(super) call_timeout: Duration,
    pub(super) attempt_timeout: Duration,
    pub(super) retry: RetryConfig,
    pub(super) classifier: Option<Classifier>,
    pub(super) settle: SettleLayer,
    pub(super) max_response_bytes: Option<usize>,
    pub(super) trace: TraceLayer,
    pub(super) trace_call: TraceCallLayer,
    /// The first setting with an invalid value, and the reason.
    invalid: Option<(&'static str, String)>,
}

impl Settings {
    fn new(key: KeySource) -> Self {
        Self {
            key,
            base_url: BaseUrl::default(),
            allowed: Vec::new(),
            api_version: ApiVersion::default(),
            headers: HeaderMap::new(),
            call_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            retry: RetryConfig::default(),
            classifier: None,
            settle: SettleLayer::new(),
            max_response_bytes: None,
            trace: TraceLayer::new(),
            trace_call: TraceCallLayer::new(),
            invalid: None,
        }
    }

    /// Converts the value of a setting, or keeps the reason why it is invalid.
    fn read<V>(
        &mut self,
        setting: &'static str,
        value: impl TryInto<V, Error: Display>,
    ) -> Option<V> {
        let read = value
            .try_into()
            .map_err(|error| self.reject(setting, &error));
        read.ok()
    }

    fn reject(&mut self, setting: &'static str, reason: &dyn Display) {
        self.invalid
            .get_or_insert_with(|| (setting, reason.to_string()));
    }

    /// Returns the first invalid setting.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.invalid.clone() {
            Some((setting, reason)) => Err(ConfigError::Setting { setting, reason }),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "transport")]
impl Client {
    /// Configures a client that sends over the default transport.
    ///
    /// ```
    /// use clerk_actor_tokens::{Client, SecretKey};
    ///
    /// let client = Client::builder(SecretKey::new("sk_test_1")?)
    ///     .base_url("https://gateway.example/clerk")
    ///     .user_agent("support-desk/2.1")
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(key: impl Into<KeySource>) -> ClientBuilder {
        ClientBuilder::new(key)
    }
}

#[cfg(feature = "transport")]
impl ClientBuilder {
    /// Configures a client that sends over the default transport.
    pub fn new(key: impl Into<KeySource>) -> Self {
        Self {
            settings: Settings::new(key.into()),
            layers: Layers::default(),
            transport: DefaultTransport::default(),
        }
    }
}

impl<T: Transport> ClientBuilder<Layers, CustomTransport<T>> {
    /// Configures a client that sends over `transport`, also in builds without the default one. See
    /// [`transport`](Self::transport).
    ///
    /// ```
    /// use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
    /// use http::{Request, Response};
    ///
    /// async fn send(request: Request<Body>) -> Result<Response<String>, BoxError> {
    ///     assert_eq!(request.uri(), "https://api.clerk.com/v1/actor_tokens/act_1/revoke");
    ///     // … sent by your HTTP client …
    ///     Ok(Response::new(r#"{"id":"act_1","status":"revoked"}"#.into()))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let key = SecretKey::new("sk_test_1")?;
    /// let client = ClientBuilder::over(key, tower::service_fn(send)).build()?;
    /// client.revoke("act_1").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn over(key: impl Into<KeySource>, transport: T) -> Self {
        Self {
            settings: Settings::new(key.into()),
            layers: Layers::default(),
            transport: CustomTransport(transport),
        }
    }
}

/// # Settings
impl<L, T> ClientBuilder<L, T> {
    /// Sets the address of the API: a URL as text, or a [`BaseUrl`]. Default:
    /// `https://api.clerk.com/v1`.
    pub fn base_url(mut self, base_url: impl TryInto<BaseUrl, Error: Display>) -> Self {
        if let Some(base_url) = self.settings.read("base_url", base_url) {
            self.settings.base_url = base_url;
        }
        self
    }

    /// Allows calls to set base URLs with the scheme, host and port of `base_url`. **The secret key is sent
    /// there, too.** Default: none.
    pub fn allow_base_url(mut self, base_url: impl TryInto<BaseUrl, Error: Display>) -> Self {
        let base_url = self.settings.read("allow_base_url", base_url);
        self.settings.allowed.extend(base_url);
        self
    }

    /// Sets the version of the API: a date. Default: `2026-05-12`.
    pub fn api_version(mut self, version: impl TryInto<ApiVersion, Error: Display>) -> Self {
        if let Some(version) = self.settings.read("api_version", version) {
            self.settings.api_version = version;
        }
        self
    }

    /// Adds a header to every request, compensating revokes included. A later value for the same name, or a
    /// header of the [call](crate::ActorTokenRequest::header), replaces it. `Debug` does not show the value.
    ///
    /// [`build`](Self::build) refuses headers that only the stack may set (`authorization`, `host`,
    /// `content-length`, …). [`ApiHeadersLayer`](crate::layer::ApiHeadersLayer) replaces its headers, except
    /// `clerk-api-version` and `user-agent`.
    pub fn default_header(
        mut self,
        name: impl TryInto<HeaderName, Error: Display>,
        value: impl TryInto<HeaderValue, Error: Display>,
    ) -> Self {
        const SETTING: &str = "default_header";
        let settings = &mut self.settings;
        match settings
            .read(SETTING, name)
            .zip(settings.read(SETTING, value))
        {
            Some((name, _)) if is_reserved(&name) => {
                settings.reject(SETTING, &format_args!("the client itself sets {name}"));
            }
            Some((name, mut value)) => {
                value.set_sensitive(true);
                settings.headers.insert(name, value);
            }
            None => {}
        }
        self
    }

    /// Sets the header `user-agent`. Default: `clerk-actor-tokens/<version>`.
    pub fn user_agent(mut self, value: impl TryInto<HeaderValue, Error: Display>) -> Self {
        if let Some(value) = self.settings.read("user_agent", value) {
            self.settings.headers.insert(USER_AGENT, value);
        }
        self
    }

    /// Limits the time of a call, attempts and backoff included. Default: 30 s.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.settings.call_timeout = limit;
        self
    }

    /// Limits the time of an attempt, from reading the key and connecting to the last byte of the
    /// response. Default: 10 s.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.settings.attempt_timeout = limit;
        self
    }

    /// Sets the number of attempts and the backoff. Default: [`RetryConfig::default`].
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.settings.retry = config;
        self
    }

    /// Sets a function that can replace the verdict on a failed attempt, see
    /// [`RetryLayer::classifier`](crate::layer::RetryLayer::classifier). Default: none.
    pub fn retry_classifier<F>(mut self, classifier: F) -> Self
    where
        F: Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync + 'static,
    {
        self.settings.classifier = Some(Classifier(Arc::new(classifier)));
        self
    }

    /// Sets how lost tokens are settled; [`SettleLayer::disabled`] turns it off. Clients of one layer are
    /// drained together. A layer without a hook keeps that of [`on_settle`](Self::on_settle).
    pub fn settle(mut self, layer: SettleLayer) -> Self {
        self.settings.settle = layer.or_hook_of(&self.settings.settle);
        self
    }

    /// Calls `hook` with the end of each token that its caller did not get, see
    /// [`SettleLayer::on_settle`]. It replaces an earlier hook. Default: none.
    pub fn on_settle<F>(mut self, hook: F) -> Self
    where
        F: Fn(&SettleEvent) + Send + Sync + 'static,
    {
        self.settings.settle = self.settings.settle.on_settle(hook);
        self
    }

    /// Limits the length of a response, in bytes. Default: 256 KiB.
    pub fn max_response_bytes(mut self, limit: usize) -> Self {
        self.settings.max_response_bytes = Some(limit);
        self
    }

    /// Sets the spans of attempts; [`TraceLayer::disabled`] turns them off. The builder adds the base
    /// URLs. Default: level INFO.
    pub fn trace(mut self, layer: TraceLayer) -> Self {
        self.settings.trace = layer;
        self
    }

    /// Sets the spans of calls; [`TraceCallLayer::disabled`] turns them off. Default: level INFO.
    pub fn trace_call(mut self, layer: TraceCallLayer) -> Self {
        self.settings.trace_call = layer;
        self
    }
}

macro_rules! transport_settings {
    ($($(#[$doc:meta])* $setting:ident($value:ident: $type:ty);)*) => {
        /// # Settings of the default transport
        #[cfg(feature = "transport")]
        impl<L> ClientBuilder<L> {
            $($(#[$doc])*
            pub fn $setting(mut self, $value: $type) -> Self {
                self.transport = self.transport.$setting($value);
                self
            })*
        }
    };
}

transport_settings! {
    /// Limits the time to connect: name resolution, TCP and TLS together. Default: 3 s.
    connect_timeout(limit: Duration);
    /// Limits how long an idle connection stays in the pool. Default: 30 s.
    pool_idle_timeout(limit: Duration);
    /// Sets the time after which TCP probes an idle HTTPS connection; `None` for no probes, the default.
    tcp_keepalive(time: impl Into<Option<Duration>>);
    /// Sets how long an HTTP/2 connection may be silent while a response is awaited, before a ping is sent;
    /// `None` for no pings, the default. Without pings, a connection that is silent for 2 s takes no further
    /// requests.
    http2_keep_alive_interval(interval: impl Into<Option<Duration>>);
    /// Limits how long the server may take to reply to that ping. Default: 3 s.
    http2_keep_alive_timeout(limit: Duration);
    /// Also trusts the certificate authorities in this PEM text, such as that of a gateway. A text without a
    /// certificate is an error of [`build`](Self::build).
    root_certificate_pem(pem: impl Into<Vec<u8>>);
    /// Also trusts the certificate authority with this DER certificate. Bytes that are not a certificate are
    /// an error of [`build`](Self::build).
    root_certificate_der(der: impl Into<Vec<u8>>);
    /// Connects through this proxy. Default: none, whatever the environment says.
    #[cfg(feature = "proxy")]
    proxy(proxy: Proxy);
}
