//! The places where layers and a transport of users go in.

use tower_layer::Stack;

use super::{ClientBuilder, CustomTransport, Transport};

impl<C, A, T> ClientBuilder<C, A, T> {
    /// Adds a layer at the call level, once per call over `ActorTokenRequest`s: above the call's
    /// time-out, below the layers that were added before it.
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
    pub fn call_layer<L>(self, layer: L) -> ClientBuilder<Stack<L, C>, A, T> {
        let Self {
            settings,
            call_layers,
            wire_layers,
            transport,
        } = self;
        let call_layers = Stack::new(layer, call_layers);
        ClientBuilder {
            settings,
            call_layers,
            wire_layers,
            transport,
        }
    }

    /// Adds a layer at the wire level, once per attempt over `http::Request<Body>`s: below the base
    /// URL and the API's headers and the layers that were added before it, above the key, which it
    /// never sees.
    ///
    /// It is given each attempt once, and must not send a create more than once: a second token would be
    /// a second live link. A retry or a hedge belongs in the place of the
    /// [retry layer](crate::layer::RetryLayer), in a stack of your own; what is sent twice down here is
    /// at least reported as what may have been minted.
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
    pub fn wire_layer<L>(self, layer: L) -> ClientBuilder<C, Stack<L, A>, T> {
        let Self {
            settings,
            call_layers,
            wire_layers,
            transport,
        } = self;
        let wire_layers = Stack::new(layer, wire_layers);
        ClientBuilder {
            settings,
            call_layers,
            wire_layers,
            transport,
        }
    }

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
    pub fn transport<U: Transport>(self, transport: U) -> ClientBuilder<C, A, CustomTransport<U>> {
        let Self {
            settings,
            call_layers,
            wire_layers,
            ..
        } = self;
        let transport = CustomTransport(transport);
        ClientBuilder {
            settings,
            call_layers,
            wire_layers,
            transport,
        }
    }
}
