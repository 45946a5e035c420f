//! [`ClientBuilder`], the default stack assembled.

use std::time::Duration;

#[cfg(feature = "transport")]
use super::Client;
use super::{CustomTransport, Layers, Transport};
#[cfg(feature = "proxy")]
use crate::transport::Proxy;
#[cfg(feature = "transport")]
use crate::transport::TransportConfig;
use crate::{
    BaseUrl, Error, KeySource, OperationKind, RetryConfig,
    layer::{
        ApiVersion, SettleLayer, TraceCallLayer, TraceLayer,
        retry::{Classifier, Verdict},
        settle::SettleEvent,
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
/// | settling | [`SettleLayer::new`]: 1024 creates at once, lost ones followed for 30 s |
/// | longest answer | 256 KiB |
/// | spans of calls and of attempts | at the level INFO |
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder<L, T> {
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
    pub(super) call_timeout: Duration,
    pub(super) attempt_timeout: Duration,
    pub(super) retry: RetryConfig,
    pub(super) classifier: Option<Classifier>,
    pub(super) settle: SettleLayer,
    pub(super) max_response_bytes: Option<usize>,
    pub(super) trace: TraceLayer,
    pub(super) trace_call: TraceCallLayer,
}

impl Settings {
    fn new(key: KeySource) -> Self {
        Self {
            key,
            base_url: BaseUrl::default(),
            allowed: Vec::new(),
            api_version: ApiVersion::default(),
            call_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            retry: RetryConfig::default(),
            classifier: None,
            settle: SettleLayer::new(),
            max_response_bytes: None,
            trace: TraceLayer::new(),
            trace_call: TraceCallLayer::new(),
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
    pub fn builder(key: impl Into<KeySource>) -> ClientBuilder<Layers, TransportConfig> {
        ClientBuilder::new(key)
    }
}

#[cfg(feature = "transport")]
impl ClientBuilder<Layers, TransportConfig> {
    /// Begins to configure a client that sends over the default transport.
    pub fn new(key: impl Into<KeySource>) -> Self {
        Self {
            settings: Settings::new(key.into()),
            layers: Layers::default(),
            transport: TransportConfig::default(),
        }
    }
}

#[cfg(feature = "transport")]
impl<L> ClientBuilder<L, TransportConfig> {
    /// The longest the connect phase of an attempt may take: name resolution, TCP and TLS together.
    /// Default: 3 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.transport = self.transport.connect_timeout(limit);
        self
    }

    /// The longest time that an idle connection stays in the pool. Default: 30 s.
    pub fn pool_idle_timeout(mut self, limit: Duration) -> Self {
        self.transport = self.transport.pool_idle_timeout(limit);
        self
    }

    /// Trusts this certificate authority, too: its certificate as DER. For a gateway of one's own.
    pub fn root_certificate(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.transport = self.transport.root_certificate_der(der);
        self
    }

    /// Connects through this proxy. Default: none, whatever the environment says.
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.transport = self.transport.proxy(proxy);
        self
    }
}

impl<T: Transport> ClientBuilder<Layers, CustomTransport<T>> {
    /// Begins to configure a client that sends over `transport`; for builds without the default one.
    ///
    /// ```
    /// use clerk_actor_tokens::{Body, BoxError, ClientBuilder, SecretKey};
    /// use http::{Request, Response};
    ///
    /// async fn send(request: Request<Body>) -> Result<Response<String>, BoxError> {
    ///     assert_eq!(request.uri(), "https://api.clerk.com/v1/actor_tokens/act_1/revoke");
    ///     // … by an HTTP client of your own …
    ///     Ok(Response::new(r#"{"id":"act_1","status":"revoked"}"#.into()))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let key = SecretKey::new("sk_test_1")?;
    /// let client = ClientBuilder::over(key, tower::service_fn(send)).build()?;
    /// client.revoke(&"act_1".parse()?).await?;
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

impl<L, T> ClientBuilder<L, T> {
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

    /// The longest an attempt may take, from asking for the key and connecting to the last byte of the
    /// answer. Default: 10 s.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.settings.attempt_timeout = limit;
        self
    }

    /// How often and how patiently calls are tried.
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.settings.retry = config;
        self
    }

    /// Lets `classifier` turn the verdict on a failed attempt down or up, see
    /// [`RetryLayer::classifier`](crate::layer::RetryLayer::classifier). Default: none.
    pub fn retry_classifier<F>(mut self, classifier: F) -> Self
    where
        F: Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync + 'static,
    {
        self.settings.classifier = Some(Classifier::new(classifier));
        self
    }

    /// How creates are settled whose callers are gone or whose answers cannot be used; with
    /// [`SettleLayer::disabled`] they are not. Clients of one layer are drained together. A layer
    /// without a hook keeps that of [`on_settle`](Self::on_settle), in whichever order they are given.
    pub fn settle(mut self, layer: SettleLayer) -> Self {
        self.settings.settle = layer.or_hook_of(&self.settings.settle);
        self
    }

    /// Tells `hook` what became of every credential that its caller did not get, see
    /// [`SettleLayer::on_settle`]. It replaces the hook of a layer given to [`settle`](Self::settle)
    /// before, and is replaced by that of one given later. Default: none.
    pub fn on_settle<F>(mut self, hook: F) -> Self
    where
        F: Fn(&SettleEvent) + Send + Sync + 'static,
    {
        self.settings.settle = self.settings.settle.on_settle(hook);
        self
    }

    /// The longest answer that is read, in bytes. Default: 256 KiB.
    pub fn max_response_bytes(mut self, limit: usize) -> Self {
        self.settings.max_response_bytes = Some(limit);
        self
    }

    /// The spans of attempts: [`TraceLayer::disabled`] turns them off. Where the attempts go the
    /// builder tells the layer. Default: level INFO.
    pub fn trace(mut self, layer: TraceLayer) -> Self {
        self.settings.trace = layer;
        self
    }

    /// The spans of calls: [`TraceCallLayer::disabled`] turns them off. Default: level INFO.
    pub fn trace_call(mut self, layer: TraceCallLayer) -> Self {
        self.settings.trace_call = layer;
        self
    }
}
