//! Methods of [`ClientBuilder`] that add layers and replace the transport.

use tower_layer::Stack;

use super::{ClientBuilder, CustomTransport, Layers, Transport};

/// # Layers
impl<O, C, A, W, T> ClientBuilder<Layers<O, C, A, W>, T> {
    /// Adds an observer layer over `ActorTokenRequest`s, once per call, below earlier ones and above every
    /// layer that can fail. It sees each result as `Result<ActorToken, Error>`, and the outcome of a
    /// cancelled call by a [`CallWatch`](crate::CallWatch). The service below it is always ready, so it also
    /// sees a call that is dropped while a call layer is not ready.
    ///
    /// ```
    /// use clerk_actor_tokens::{ActorToken, ClientBuilder, Error, sandbox::Sandbox};
    /// use tower::util::MapResultLayer;
    ///
    /// let sandbox = Sandbox::new();
    /// let observer = MapResultLayer::new(|result: Result<ActorToken, Error>| {
    ///     if let Err(error) = &result {
    ///         println!("{} attempts, outcome: {}", error.attempts(), error.outcome());
    ///     }
    ///     result
    /// });
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
    ///     .observe_layer(observer)
    ///     .build()?;
    /// # Ok::<(), clerk_actor_tokens::BoxError>(())
    /// ```
    pub fn observe_layer<L>(self, layer: L) -> ClientBuilder<Layers<Stack<L, O>, C, A, W>, T> {
        self.map_layers(|layers| Layers {
            observer: Stack::new(layer, layers.observer),
            call: layers.call,
            attempt: layers.attempt,
            wire: layers.wire,
        })
    }

    /// Adds a call layer over `ActorTokenRequest`s, once per call, below earlier ones and above the call's
    /// timeout. The error below it is [`BoxError`](crate::BoxError).
    ///
    /// The call's timeout does not include a wait in this layer. The timeout and the client are always ready,
    /// because their futures wait. So `LoadShed` belongs directly above the limit that it watches, on the same
    /// level: a layer above the client does not see that this layer is not ready.
    ///
    /// ```
    /// use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
    /// use tower::limit::ConcurrencyLimitLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
    /// let sandbox = Sandbox::new();
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
    ///     .call_layer(ConcurrencyLimitLayer::new(16))
    ///     .build()?;
    /// client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_layer<L>(self, layer: L) -> ClientBuilder<Layers<O, Stack<L, C>, A, W>, T> {
        self.map_layers(|layers| Layers {
            observer: layers.observer,
            call: Stack::new(layer, layers.call),
            attempt: layers.attempt,
            wire: layers.wire,
        })
    }

    /// Adds an attempt layer over `http::Request<Payload>`s, once per attempt, below retry and earlier ones.
    /// It may send clones of a request, each as an attempt: the place of your own retry policy (see
    /// [the guide](crate::guide::retries)) or hedge.
    ///
    /// tower's `Hedge` is not `Clone` and needs a `Buffer` above it. tower-http's layers that look into
    /// bodies are [wire layers](Self::wire_layer).
    pub fn attempt_layer<L>(self, layer: L) -> ClientBuilder<Layers<O, C, Stack<L, A>, W>, T> {
        self.map_layers(|layers| Layers {
            observer: layers.observer,
            call: layers.call,
            attempt: Stack::new(layer, layers.attempt),
            wire: layers.wire,
        })
    }

    /// Adds a wire layer over `http::Request<Body>`s, once per attempt, below earlier ones. It sees the base
    /// URL and the API's headers, but not the key.
    ///
    /// It cannot send a request twice, because a [`Body`](crate::Body) is not `Clone`. A retry or a hedge
    /// is an [attempt layer](Self::attempt_layer).
    ///
    /// ```
    /// use clerk_actor_tokens::{Actor, Body, ClientBuilder, CreateActorToken, sandbox::Sandbox};
    /// use http::{HeaderValue, Request};
    /// use tower::util::MapRequestLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
    /// let sandbox = Sandbox::new();
    /// let numbered = MapRequestLayer::new(|mut request: Request<Body>| {
    ///     let attempt = HeaderValue::from(request.body().attempt());
    ///     request.headers_mut().insert("x-attempt", attempt);
    ///     request
    /// });
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
    ///     .wire_layer(numbered)
    ///     .build()?;
    /// client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wire_layer<L>(self, layer: L) -> ClientBuilder<Layers<O, C, A, Stack<L, W>>, T> {
        self.map_layers(|layers| Layers {
            observer: layers.observer,
            call: layers.call,
            attempt: layers.attempt,
            wire: Stack::new(layer, layers.wire),
        })
    }

    fn map_layers<L>(self, map: impl FnOnce(Layers<O, C, A, W>) -> L) -> ClientBuilder<L, T> {
        ClientBuilder {
            settings: self.settings,
            layers: map(self.layers),
            transport: self.transport,
        }
    }
}

/// # Transport
impl<L, T> ClientBuilder<L, T> {
    /// Replaces the default transport by any `Service<http::Request<Body>, Response = http::Response<B>>`.
    ///
    /// **It must not follow redirects, which could send the key to another host, and must not retry,
    /// which could mint a second token.** Many HTTP clients do both by default.
    /// [`over`](Self::over) has an example.
    pub fn transport<U: Transport>(self, transport: U) -> ClientBuilder<L, CustomTransport<U>> {
        ClientBuilder {
            settings: self.settings,
            layers: self.layers,
            transport: CustomTransport(transport),
        }
    }
}
