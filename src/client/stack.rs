//! The types of the assembled stack, level by level, and the bounds of its layers.

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::{Identity, Layer};
use tower_service::Service;

use super::ConfigError;
use crate::{
    ActorToken, ActorTokenRequest, Body, BoxError, Error, Payload, TokenResponse,
    layer::{
        ApiHeaders, BaseUri, BearerAuth, CollectBody, DecodeError, Json, Retry, Settle, Timeout,
        Trace, TraceCall, TypedError,
    },
};

/// The layers of users in a [`ClientBuilder`](super::ClientBuilder): observer layers `O`, call layers `C`,
/// attempt layers `A` and wire layers `W`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers<O = Identity, C = Identity, A = Identity, W = Identity> {
    pub(super) observer: O,
    pub(super) call: C,
    pub(super) attempt: A,
    pub(super) wire: W,
}

/// The wire level over a transport `T`, with wire layers `W`.
pub type WireLevel<W, T> = BaseUri<ApiHeaders<<W as Layer<BearerAuth<T>>>::Service>>;

/// One attempt over the wire level, which [`Retry`] and the attempt layers repeat.
pub type SingleAttempt<W, T> = Trace<DecodeError<Timeout<Settle<CollectBody<WireLevel<W, T>>>>>>;

/// The attempt level over the wire level, with attempt layers `A`.
pub type AttemptLevel<A, W, T> = Retry<<A as Layer<SingleAttempt<W, T>>>::Service>;

/// The call level over the attempt level, with call layers `C`.
pub type CallLevel<C, A, W, T> =
    TypedError<<C as Layer<Timeout<Json<AttemptLevel<A, W, T>>>>>::Service>;

/// The whole stack, with observer layers `O`.
pub type ObserverLevel<O, C, A, W, T> = TraceCall<<O as Layer<CallLevel<C, A, W, T>>>::Service>;

/// The bounds of the whole stack: every [`ObserverLevel`] with layers that fit implements it.
#[diagnostic::on_unimplemented(
    message = "these observer layers do not make a client",
    label = "not a `Service<ActorTokenRequest, Response = ActorToken, Error = clerk_actor_tokens::Error>`",
    note = "an observer layer keeps request, response and error; a layer that changes the error is a call layer: `ClientBuilder::call_layer`",
    note = "its service is `Clone + Send + Sync + 'static`, and its future is `Send + 'static`"
)]
pub trait ObserverService:
    Service<ActorTokenRequest, Response = ActorToken, Error = Error, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

#[diagnostic::do_not_recommend]
impl<S> ObserverService for S
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
}

/// The bounds of the call level: each call layer makes such a service.
#[diagnostic::on_unimplemented(
    message = "these layers do not make a client",
    label = "a call layer is at the wrong level, or is not `Clone + Send + Sync + 'static`",
    note = "a call layer makes a `Service<ActorTokenRequest, Response = ActorToken>`",
    note = "the error below a call layer is `BoxError`; a layer that wants `clerk_actor_tokens::Error` belongs to `ClientBuilder::observe_layer`",
    note = "a layer over `http::Request<Payload>`s belongs to `ClientBuilder::attempt_layer`, one over `http::Request<Body>`s to `ClientBuilder::wire_layer`",
    note = "its service is `Clone + Send + Sync + 'static`, its future is `Send + 'static`, and its error is `Into<BoxError>`"
)]
pub trait CallService:
    Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

#[diagnostic::do_not_recommend]
impl<S> CallService for S
where
    S: Service<ActorTokenRequest, Response = ActorToken> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
}

/// The bounds of a service that [`Client::new`](super::Client::new) takes.
#[diagnostic::on_unimplemented(
    message = "`Client::new` takes a service, and `{Self}` is none that fits",
    label = "not a `Service<ActorTokenRequest, Response = ActorToken>`",
    note = "with a secret key, build the default stack: `Client::builder(SecretKey::new(\"sk_…\")?).build()?`",
    note = "the service is `Clone + Send + Sync + 'static`, its future is `Send + 'static`, and its error is `Into<BoxError>`"
)]
pub trait ClientService: CallService {}

#[diagnostic::do_not_recommend]
impl<S: CallService> ClientService for S {}

/// The bounds of the attempt level: each attempt layer makes such a service.
#[diagnostic::on_unimplemented(
    message = "these attempt layers do not make a client",
    label = "not a `Service<http::Request<Payload>, Response = http::Response<TokenResponse>, Error = BoxError>`",
    note = "a layer over `http::Request<Body>`s, or one that looks into bodies, such as tower-http's, belongs to `ClientBuilder::wire_layer`",
    note = "`DecodeError`, `Settle` and `CollectBody` are in the client and do not fit in twice",
    note = "its service is `Clone + Send + Sync + 'static`, and its future is `Send + 'static`; tower's `Hedge` is not `Clone` and stands under a `Buffer`"
)]
pub trait AttemptService:
    Service<
        Request<Payload>,
        Response = Response<TokenResponse>,
        Error = BoxError,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

#[diagnostic::do_not_recommend]
impl<S> AttemptService for S
where
    S: Service<Request<Payload>, Response = Response<TokenResponse>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
}

/// The bounds of the wire level: a transport, and each wire layer over one.
#[diagnostic::on_unimplemented(
    message = "these wire layers and this transport do not make a client",
    label = "not a `Service<http::Request<Body>, Response = http::Response<B>>`",
    note = "a wire layer makes a `Service<http::Request<Body>, Response = http::Response<B>>`, where `B: http_body::Body` has `Data: Into<Bytes>`",
    note = "a `Body` is not `Clone`, so a layer that sends a request twice, such as a retry or a hedge, belongs to `ClientBuilder::attempt_layer`",
    note = "`DecodeError`, `Settle` and `CollectBody` are in the client and do not fit in twice",
    note = "its service is `Clone + Send + Sync + 'static`, its futures and bodies are `Send + 'static`, and its errors are `Into<BoxError>`"
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
    /// The body of its responses.
    type ResponseBody: http_body::Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + 'static;
}

#[diagnostic::do_not_recommend]
impl<S, B> WireService for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    type ResponseBody = B;
}

/// The bounds of a transport: a `Service<http::Request<Body>, Response = http::Response<B>>` with
/// `B: http_body::Body`. It is `Clone + Send + Sync + 'static`, its futures and bodies are
/// `Send + 'static`, and its errors are `Into<BoxError>`.
///
/// It must not follow redirects, which could send the key to another host, and must not retry, which
/// could mint a second token.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transport",
    label = "not a `Service<http::Request<Body>, Response = http::Response<B>>`",
    note = "a transport takes `http::Request<clerk_actor_tokens::Body>` and returns `http::Response<B>`, where `B: http_body::Body` has `Data: Into<Bytes>`",
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
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
}

/// A user's transport in a [`ClientBuilder`](super::ClientBuilder).
#[derive(Clone, Copy, Debug)]
pub struct CustomTransport<T>(pub(super) T);

/// The default transport of a [`ClientBuilder`](super::ClientBuilder): its settings.
#[cfg(feature = "transport")]
pub type DefaultTransport = crate::transport::TransportConfig;

/// The default transport of a [`ClientBuilder`](super::ClientBuilder): none without the feature
/// `transport`. [`ClientBuilder::over`](super::ClientBuilder::over) takes yours.
#[cfg(not(feature = "transport"))]
#[derive(Clone, Copy, Debug)]
pub enum DefaultTransport {}

/// The source of a builder's transport; sealed.
pub trait TransportSource: sealed::Sealed {
    /// The transport.
    type Transport;

    #[doc(hidden)]
    fn into_transport(self) -> Result<Self::Transport, ConfigError>;
}

impl<T> TransportSource for CustomTransport<T> {
    type Transport = T;

    fn into_transport(self) -> Result<T, ConfigError> {
        Ok(self.0)
    }
}

#[cfg(feature = "transport")]
impl TransportSource for DefaultTransport {
    type Transport = crate::transport::PooledTransport;

    fn into_transport(self) -> Result<Self::Transport, ConfigError> {
        Ok(crate::transport::PooledTransport::new(&self)?)
    }
}

mod sealed {
    pub trait Sealed {}

    impl<T> Sealed for super::CustomTransport<T> {}

    #[cfg(feature = "transport")]
    impl Sealed for super::DefaultTransport {}
}
