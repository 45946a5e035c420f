//! The places for the layers and the transport of users.

use tower_layer::Stack;

use super::{ClientBuilder, CustomTransport, Layers, Transport};

impl<O, C, A, W, T> ClientBuilder<Layers<O, C, A, W>, T> {
    /// Adds an observer layer: once per call, over `ActorTokenRequest`s, above all that can fail. It
    /// sees every result as `Result<ActorToken, Error>`, and by
    /// [`ActorTokenRequest::watch`](crate::ActorTokenRequest::watch) the outcome of a cancelled call
    /// too. It stands below the observer layers that were added before it.
    ///
    /// ```
    /// use clerk_actor_tokens::{ActorToken, ClientBuilder, Error, sandbox::Sandbox};
    /// use tower::util::MapResultLayer;
    ///
    /// # fn main() -> Result<(), clerk_actor_tokens::BoxError> {
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
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn observe_layer<L>(self, layer: L) -> ClientBuilder<Layers<Stack<L, O>, C, A, W>, T> {
        self.map_layers(|layers| Layers {
            observer: Stack::new(layer, layers.observer),
            call: layers.call,
            attempt: layers.attempt,
            wire: layers.wire,
        })
    }

    /// Adds a call layer: once per call, over `ActorTokenRequest`s, above the call's timeout and below
    /// the call layers that were added before it. A layer that waits does so outside the call's time,
    /// and it does not see a limit below the timeout, because the timeout is always ready.
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

    /// Adds an attempt layer: once per attempt, over `http::Request<Payload>`s, below retry and below
    /// the attempt layers that were added before it. It may send a [`Payload`](crate::Payload) several
    /// times, which begins several attempts: the place for a retry policy or a hedge of your own.
    ///
    /// tower's `Hedge` is not `Clone`, so it stands under a `Buffer`. tower-http's layers that look into
    /// bodies are [wire layers](Self::wire_layer).
    ///
    /// ```
    /// use std::future::{Ready, ready};
    /// use clerk_actor_tokens::{
    ///     Actor, BoxError, ClientBuilder, CreateActorToken, Error, Payload, RetryConfig,
    ///     sandbox::Sandbox,
    /// };
    /// use http::Request;
    /// use tower::retry::{Policy, RetryLayer};
    ///
    /// /// Retries up to `left` times what provably had no effect.
    /// #[derive(Clone)]
    /// struct WithoutEffect {
    ///     left: u32,
    /// }
    ///
    /// impl<T> Policy<Request<Payload>, T, BoxError> for WithoutEffect {
    ///     type Future = Ready<()>;
    ///
    ///     fn retry(
    ///         &mut self,
    ///         _: &mut Request<Payload>,
    ///         result: &mut Result<T, BoxError>,
    ///     ) -> Option<Ready<()>> {
    ///         let error = result.as_ref().err()?.downcast_ref::<Error>()?;
    ///         let retry = error.outcome().is_without_effect() && self.left > 0;
    ///         retry.then(|| {
    ///             self.left -= 1;
    ///             ready(())
    ///         })
    ///     }
    ///
    ///     fn clone_request(&mut self, request: &Request<Payload>) -> Option<Request<Payload>> {
    ///         Some(request.clone())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let sandbox = Sandbox::new();
    /// let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
    ///     .retry(RetryConfig::disabled())
    ///     .attempt_layer(RetryLayer::new(WithoutEffect { left: 2 }))
    ///     .build()?;
    /// client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn attempt_layer<L>(self, layer: L) -> ClientBuilder<Layers<O, C, Stack<L, A>, W>, T> {
        self.map_layers(|layers| Layers {
            observer: layers.observer,
            call: layers.call,
            attempt: Stack::new(layer, layers.attempt),
            wire: layers.wire,
        })
    }

    /// Adds a wire layer: once per attempt, over `http::Request<Body>`s, below the base URL, the API's
    /// headers and the wire layers that were added before it, and above the key, which it never sees.
    ///
    /// It gets each request once and cannot send it twice, because a [`Body`](crate::Body) is not
    /// `Clone`. A retry or a hedge is an [attempt layer](Self::attempt_layer).
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

impl<L, T> ClientBuilder<L, T> {
    /// Sends over `transport` in place of the default one: any
    /// `Service<http::Request<Body>, Response = http::Response<B>>`, below every layer.
    ///
    /// ```
    /// use clerk_actor_tokens::{Actor, ClientBuilder, CreateActorToken, sandbox::Sandbox};
    ///
    /// # #[cfg(feature = "transport")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
    /// let sandbox = Sandbox::new();
    /// let client = ClientBuilder::new(sandbox.secret_key()).transport(sandbox.transport()).build()?;
    /// client.create(CreateActorToken::new("user_1", Actor::new("user_2"))).await?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "transport"))]
    /// # fn main() {}
    /// ```
    pub fn transport<U: Transport>(self, transport: U) -> ClientBuilder<L, CustomTransport<U>> {
        ClientBuilder {
            settings: self.settings,
            layers: self.layers,
            transport: CustomTransport(transport),
        }
    }
}
