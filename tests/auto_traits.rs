//! `Send`, `Sync`, `Clone`, `Unpin` and `Debug` of the public types.

use std::{fmt::Debug, future::Ready};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, BaseUrl, Body, BoxError,
    CallWatch, ClerkError, ClerkErrors, Client, ClientBuilder, ConfigError, CreateActorToken,
    Error, ErrorKind, InvalidActorToken, InvalidActorTokenId, InvalidBaseUrl, InvalidRequest,
    InvalidSecretKey, KeySource, Lease, Operation, OperationKind, Outcome, Payload, RetryConfig,
    RotatingKey, SecretKey, Ticket, TokenResponse, Withdrawn, client, layer, server,
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{
    layer::util::Identity,
    util::{BoxCloneSyncService, ServiceFn},
};

type Wire = BoxCloneSyncService<Request<Body>, Response<Full<Bytes>>, BoxError>;
type Collected = BoxCloneSyncService<Request<Body>, Response<Bytes>, BoxError>;
type Settled = BoxCloneSyncService<Request<Body>, Response<TokenResponse>, BoxError>;
type Attempts = BoxCloneSyncService<Request<Payload>, Response<TokenResponse>, BoxError>;
type Call = BoxCloneSyncService<ActorTokenRequest, ActorToken, BoxError>;
type TypedCall = BoxCloneSyncService<ActorTokenRequest, ActorToken, Error>;
type ReadyWire = Ready<Result<Response<Full<Bytes>>, BoxError>>;
type ReadyAttempt = Ready<Result<Response<TokenResponse>, BoxError>>;
type ReadyCall = Ready<Result<ActorToken, Error>>;
type CallFn = ServiceFn<fn(ActorTokenRequest) -> ReadyCall>;
type Layers = client::Layers<Identity, Identity, Identity, Identity>;
type Builder = ClientBuilder<Layers, client::CustomTransport<Wire>>;

fn shared<T: Send + Sync + Unpin + Debug + 'static>() {}
fn cloned<T: Clone + Send + Sync + Unpin + Debug + 'static>() {}
fn future<T: Future + Send + Sync + Debug + 'static>() {}

#[test]
fn values_are_send_sync_clone_and_debug() {
    cloned::<Actor>();
    cloned::<ActorToken>();
    cloned::<ActorTokenId>();
    cloned::<ActorTokenRequest>();
    cloned::<ActorTokenStatus>();
    cloned::<BaseUrl>();
    cloned::<CallWatch>();
    cloned::<ClerkError>();
    cloned::<ClerkErrors>();
    cloned::<CreateActorToken>();
    cloned::<OperationKind>();
    cloned::<KeySource>();
    cloned::<Operation>();
    cloned::<Outcome>();
    cloned::<Payload>();
    cloned::<RetryConfig>();
    cloned::<RotatingKey>();
    cloned::<SecretKey>();
    cloned::<Ticket>();
    cloned::<Withdrawn>();
    cloned::<client::Verdict>();
    cloned::<server::AcceptedKeys>();
    cloned::<server::KeyName>();
    #[cfg(feature = "sessions")]
    cloned::<clerk_actor_tokens::Session>();
    cloned::<layer::ApiVersion>();
    cloned::<layer::settle::DrainReport>();
    cloned::<layer::settle::SettleCounts>();
    cloned::<layer::settle::SettleEnd>();
    cloned::<layer::trace::SpanContext<'static>>();
    shared::<layer::settle::SettleEvent>();
    shared::<Lease>();
    // Neither is `Clone`: a body is sent once, and a token is delivered once.
    shared::<Body>();
    shared::<TokenResponse>();
    shared::<server::ResponseBody>();
}

#[test]
fn errors_are_send_sync_and_debug() {
    fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
    error::<ConfigError>();
    #[cfg(feature = "sessions")]
    error::<clerk_actor_tokens::EndImpersonationError>();
    error::<Error>();
    error::<InvalidActorToken>();
    error::<InvalidActorTokenId>();
    error::<InvalidBaseUrl>();
    error::<InvalidRequest>();
    error::<InvalidSecretKey>();
    error::<Withdrawn>();
    error::<layer::api_headers::InvalidApiVersion>();
    error::<layer::collect_body::CollectBodyError>();
    error::<layer::timeout::TimedOut>();
    cloned::<ErrorKind>();
    cloned::<layer::timeout::Scope>();
    shared::<Error>();
}

#[test]
fn layers_and_services_are_send_sync_clone_and_debug() {
    cloned::<layer::ApiHeadersLayer>();
    cloned::<layer::BaseUriLayer>();
    cloned::<layer::BearerAuthLayer>();
    cloned::<layer::CollectBodyLayer>();
    cloned::<layer::DecodeErrorLayer>();
    cloned::<layer::JsonLayer>();
    cloned::<layer::RetryLayer>();
    cloned::<layer::SettleLayer>();
    cloned::<layer::TimeoutLayer>();
    cloned::<layer::TraceCallLayer>();
    cloned::<layer::TraceLayer>();
    cloned::<layer::TypedErrorLayer>();

    cloned::<layer::ApiHeaders<Wire>>();
    cloned::<layer::BaseUri<Wire>>();
    cloned::<layer::BearerAuth<Wire>>();
    cloned::<layer::CollectBody<Wire>>();
    cloned::<layer::DecodeError<Settled>>();
    cloned::<layer::Json<Attempts>>();
    cloned::<layer::Retry<Attempts>>();
    cloned::<layer::Settle<Collected>>();
    cloned::<layer::Timeout<Call>>();
    cloned::<layer::Timeout<Settled>>();
    cloned::<layer::Trace<Attempts>>();
    cloned::<layer::TraceCall<TypedCall>>();
    cloned::<layer::TypedError<Call>>();

    cloned::<Client>();
    cloned::<Builder>();
    cloned::<Layers>();
    cloned::<client::WireLevel<Identity, Wire>>();
    cloned::<client::SingleAttempt<Identity, Wire>>();
    cloned::<client::AttemptLevel<Identity, Identity, Wire>>();
    cloned::<client::CallLevel<Identity, Identity, Identity, Wire>>();
    cloned::<client::ObserverLevel<Identity, Identity, Identity, Identity, Wire>>();
}

#[cfg(feature = "transport")]
#[test]
fn transport_config_is_send_sync_clone_and_debug() {
    use clerk_actor_tokens::transport::{TlsError, TransportConfig};

    cloned::<TransportConfig>();
    cloned::<ClientBuilder<Layers, TransportConfig>>();
    cloned::<ClientBuilder>();
    shared::<TlsError>();
}

#[cfg(feature = "blocking")]
#[test]
fn blocking_client_is_shared_cloned_and_shown() {
    use clerk_actor_tokens::blocking;

    cloned::<blocking::Client>();
    shared::<blocking::Lease>();
}

#[cfg(feature = "proxy")]
#[test]
fn proxy_is_send_sync_clone_and_debug() {
    use clerk_actor_tokens::transport::{InvalidProxy, Proxy};
    cloned::<Proxy>();
    shared::<InvalidProxy>();
}

#[cfg(feature = "transport")]
#[test]
fn hyper_transport_is_send_sync_clone_and_debug() {
    use clerk_actor_tokens::transport::client::{HyperTransport, ResponseBody, ResponseFuture};

    cloned::<HyperTransport>();
    fn sent<T: Send + Debug + 'static>() {}
    sent::<ResponseFuture>();
    sent::<ResponseBody>();
}

#[cfg(feature = "transport")]
#[test]
fn default_transport_is_send_sync_clone_and_debug() {
    use clerk_actor_tokens::transport::pool::{
        PoolError, PooledTransport, ResponseBody, ResponseFuture,
    };

    cloned::<PooledTransport>();
    shared::<PoolError>();
    fn sent<T: Send + Debug + 'static>() {}
    sent::<ResponseFuture>();
    sent::<ResponseBody>();
}

#[test]
fn futures_are_send_and_debug_if_the_inner_futures_are() {
    future::<layer::base_uri::ResponseFuture<ReadyWire>>();
    future::<layer::collect_body::ResponseFuture<ReadyWire, Full<Bytes>>>();
    future::<layer::decode_error::ResponseFuture<ReadyAttempt>>();
    future::<layer::json::ResponseFuture<ReadyAttempt>>();
    future::<layer::timeout::ResponseFuture<ReadyAttempt>>();
    future::<layer::trace::ResponseFuture<ReadyAttempt>>();
    future::<layer::trace_call::ResponseFuture<ReadyCall>>();
    future::<layer::timeout::ResponseFuture<ReadyCall>>();
    future::<layer::typed_error::ResponseFuture<CallFn>>();

    fn sent<T: Future + Send + Debug + 'static>() {}
    sent::<layer::bearer_auth::ResponseFuture<Wire>>();
    sent::<layer::retry::ResponseFuture<Attempts>>();
    sent::<layer::settle::ResponseFuture>();
    sent::<client::ResponseFuture>();
}

#[test]
fn futures_of_client_calls_are_send() {
    fn spawned<F: Future + Send>(_: impl FnOnce(Client, ActorTokenId, CreateActorToken) -> F) {}
    spawned(|client, _, create| async move { client.create(create).await });
    spawned(|client, id, _| async move { client.revoke(&id).await });
    spawned(|client, _, _| async move { client.revoke(String::from("act_1")).await });
    spawned(|client, _, create| async move { client.send(create).await });
}
