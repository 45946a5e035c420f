//! The types of the assembled stack, level by level, and what a transport must be.

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "transport")]
use super::ConfigError;
use crate::{
    ActorToken, ActorTokenRequest, Body, BoxError, Error,
    layer::{
        ApiHeaders, BaseUri, BearerAuth, CollectBody, DecodeError, Json, Retry, Settle, Timeout,
        Trace, TraceCall, TypedError,
    },
};

/// The wire level over a transport `T`, with wire layers `A`.
pub type WireLevel<A, T> = BaseUri<ApiHeaders<<A as Layer<BearerAuth<T>>>::Service>>;

/// The attempt level over the wire level.
pub type AttemptLevel<A, T> =
    Retry<Trace<DecodeError<Timeout<Settle<CollectBody<WireLevel<A, T>>>>>>>;

/// The whole stack, with call layers `C`.
pub type CallLevel<C, A, T> =
    TraceCall<TypedError<<C as Layer<Timeout<Json<AttemptLevel<A, T>>>>>::Service>>;

/// A stack that a [`Client`](super::Client) can be made of; implemented by every
/// [`CallLevel`] whose layers fit.
#[diagnostic::on_unimplemented(
    message = "these layers and this transport do not make a client",
    label = "a layer stands at the wrong level, or is not `Clone + Send + Sync + 'static`",
    note = "a call layer makes a `Service<ActorTokenRequest, Response = ActorToken>`",
    note = "a wire layer makes a `Service<http::Request<Body>, Response = http::Response<B>>`",
    note = "the errors of both are `Into<BoxError>`, and their futures are `Send + 'static`"
)]
pub trait CallService:
    Service<ActorTokenRequest, Response = ActorToken, Error = Error, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

#[diagnostic::do_not_recommend]
impl<S> CallService for S
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
}

/// What the attempt level can stand on: a transport, and each layer at the wire level over one.
#[diagnostic::on_unimplemented(
    message = "these wire layers and this transport do not make a client",
    label = "not a `Service<http::Request<Body>, Response = http::Response<B>>`",
    note = "a wire layer makes a `Service<http::Request<Body>, Response = http::Response<B>>`",
    note = "it is `Clone + Send + Sync + 'static`, its futures and bodies are `Send + 'static`, and its errors are `Into<BoxError>`"
)]
pub trait WireService:
    Service<
        Request<Body>,
        Response = Response<Self::ResponseBody>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of its answers.
    type ResponseBody: http_body::Body<Data: Into<bytes::Bytes>, Error: Into<BoxError>>
        + Send
        + 'static;
}

#[diagnostic::do_not_recommend]
impl<S, B> WireService for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Into<bytes::Bytes>,
    B::Error: Into<BoxError>,
{
    type ResponseBody = B;
}

/// What sends a request and returns its answer, the body still streaming: any
/// `Service<http::Request<Body>, Response = http::Response<B>>` with a `B` of [`http_body::Body`]. It is
/// `Clone + Send + Sync + 'static`, its futures and bodies are `Send + 'static`, and its errors are
/// `Into<BoxError>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transport",
    label = "not a `Service<http::Request<Body>, Response = http::Response<B>>`",
    note = "a transport takes `http::Request<clerk_actor_tokens::Body>` and answers `http::Response<B>`, where `B: http_body::Body` has `Data: Into<Bytes>`",
    note = "it is `Clone + Send + Sync + 'static`, its futures and bodies are `Send + 'static`, and its errors are `Into<BoxError>`"
)]
pub trait Transport: Service<Request<Body>> + Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T, B> Transport for T
where
    T: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Into<bytes::Bytes>,
    B::Error: Into<BoxError>,
{
}

/// Stands in a [`ClientBuilder`](super::ClientBuilder) for a transport of the user's.
#[derive(Clone, Copy, Debug)]
pub struct CustomTransport<T>(pub(super) T);

/// Where a builder gets its transport from; sealed.
pub trait TransportSource: sealed::Sealed {
    /// The transport.
    type Transport;

    #[doc(hidden)]
    fn into_transport(self) -> Result<Self::Transport, super::ConfigError>;
}

impl<T> TransportSource for CustomTransport<T> {
    type Transport = T;

    fn into_transport(self) -> Result<T, super::ConfigError> {
        Ok(self.0)
    }
}

#[cfg(feature = "transport")]
impl TransportSource for crate::transport::TransportConfig {
    type Transport = crate::transport::PooledTransport;

    fn into_transport(self) -> Result<Self::Transport, ConfigError> {
        Ok(crate::transport::PooledTransport::new(&self)?)
    }
}

mod sealed {
    pub trait Sealed {}

    impl<T> Sealed for super::CustomTransport<T> {}

    #[cfg(feature = "transport")]
    impl Sealed for crate::transport::TransportConfig {}
}
