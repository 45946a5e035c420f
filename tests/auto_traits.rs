//! Everything can be shared, sent, cloned and shown.

use std::{fmt::Debug, future::Ready};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, BaseUrl, Body, BoxError,
    ClerkError, ClerkErrors, Client, ClientBuilder, ConfigError, CreateActorToken, Error,
    ErrorKind, InvalidActorToken, InvalidActorTokenId, InvalidBaseUrl, InvalidRequest,
    InvalidSecretKey, KeySource, Lease, Operation, OperationKind, Outcome, RetryConfig,
    RotatingKey, SecretKey, Ticket, client, layer,
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{layer::util::Identity, util::BoxCloneSyncService};

type Answer = Response<Full<Bytes>>;
type Wire = BoxCloneSyncService<Request<Body>, Answer, BoxError>;
type Call = BoxCloneSyncService<ActorTokenRequest, ActorToken, BoxError>;
type Exchange = Ready<Result<Answer, BoxError>>;
type Builder = ClientBuilder<Identity, Identity, client::CustomTransport<Wire>>;

fn shared<T: Send + Sync + Unpin + Debug + 'static>() {}
fn cloned<T: Clone + Send + Sync + Unpin + Debug + 'static>() {}
fn future<T: Future + Send + Sync + Debug + 'static>() {}

#[test]
fn values_can_be_shared_cloned_and_shown() {
    cloned::<Actor>();
    cloned::<ActorToken>();
    cloned::<ActorTokenId>();
    cloned::<ActorTokenRequest>();
    cloned::<ActorTokenStatus>();
    cloned::<BaseUrl>();
    cloned::<Body>();
    cloned::<ClerkError>();
    cloned::<ClerkErrors>();
    cloned::<CreateActorToken>();
    cloned::<OperationKind>();
    cloned::<KeySource>();
    cloned::<Operation>();
    cloned::<Outcome>();
    cloned::<RetryConfig>();
    cloned::<RotatingKey>();
    cloned::<SecretKey>();
    cloned::<Ticket>();
    cloned::<layer::ApiVersion>();
    cloned::<layer::settle::DrainReport>();
    cloned::<layer::settle::SettleCounts>();
    cloned::<layer::settle::SettleEnd>();
    cloned::<layer::trace::SpanContext<'static>>();
    shared::<layer::settle::SettleEvent>();
    shared::<Lease>();
}

#[test]
fn errors_can_be_shared_and_shown() {
    fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
    error::<ConfigError>();
    error::<Error>();
    error::<InvalidActorToken>();
    error::<InvalidActorTokenId>();
    error::<InvalidBaseUrl>();
    error::<InvalidRequest>();
    error::<InvalidSecretKey>();
    error::<layer::api_headers::InvalidApiVersion>();
    error::<layer::collect_body::CollectBodyError>();
    error::<layer::timeout::TimedOut>();
    cloned::<ErrorKind>();
    cloned::<layer::timeout::Scope>();
    shared::<Error>();
}

#[test]
fn layers_and_services_can_be_shared_cloned_and_shown() {
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
    cloned::<layer::DecodeError<Wire>>();
    cloned::<layer::Json<Wire>>();
    cloned::<layer::Retry<Wire>>();
    cloned::<layer::Settle<Wire>>();
    cloned::<layer::Timeout<Wire>>();
    cloned::<layer::Trace<Wire>>();
    cloned::<layer::TraceCall<Call>>();
    cloned::<layer::TypedError<Call>>();

    cloned::<Client>();
    cloned::<Builder>();
    cloned::<client::WireLevel<Identity, Wire>>();
    cloned::<client::AttemptLevel<Identity, Wire>>();
    cloned::<client::CallLevel<Identity, Identity, Wire>>();
}

#[cfg(feature = "transport")]
#[test]
fn what_makes_a_transport_can_be_shared_cloned_and_shown() {
    use clerk_actor_tokens::transport::{TlsError, TransportConfig};

    cloned::<TransportConfig>();
    cloned::<ClientBuilder<Identity, Identity, TransportConfig>>();
    shared::<TlsError>();
}

#[cfg(feature = "proxy")]
#[test]
fn a_proxy_can_be_shared_cloned_and_shown() {
    use clerk_actor_tokens::transport::{InvalidProxy, Proxy};
    cloned::<Proxy>();
    shared::<InvalidProxy>();
}

#[cfg(feature = "transport")]
#[test]
fn the_transport_over_hyper_utils_client_can_be_shared_cloned_and_shown() {
    use clerk_actor_tokens::transport::client::{HyperTransport, ResponseBody, ResponseFuture};

    cloned::<HyperTransport>();
    fn sent<T: Send + Debug + 'static>() {}
    sent::<ResponseFuture>();
    sent::<ResponseBody>();
}

#[cfg(feature = "transport")]
#[test]
fn the_default_transport_can_be_shared_cloned_and_shown() {
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
fn futures_can_be_sent_and_shown_wherever_those_below_can() {
    future::<layer::base_uri::ResponseFuture<Exchange>>();
    future::<layer::collect_body::ResponseFuture<Exchange, Full<Bytes>>>();
    future::<layer::decode_error::ResponseFuture<Exchange>>();
    future::<layer::json::ResponseFuture<Exchange>>();
    future::<layer::timeout::ResponseFuture<Exchange>>();
    future::<layer::trace::ResponseFuture<Exchange>>();
    future::<layer::trace_call::ResponseFuture<Ready<Result<ActorToken, Error>>>>();
    future::<layer::typed_error::ResponseFuture<Exchange>>();

    fn sent<T: Future + Send + Debug + 'static>() {}
    sent::<layer::bearer_auth::ResponseFuture<Wire>>();
    sent::<layer::retry::ResponseFuture<Wire>>();
    sent::<layer::settle::ResponseFuture<Exchange>>();
    sent::<client::ResponseFuture>();
}

#[test]
fn calls_of_a_client_can_be_spawned() {
    fn spawned<F: Future + Send>(_: impl FnOnce(Client, ActorTokenId, CreateActorToken) -> F) {}
    spawned(|client, _, create| async move { client.create(create).await });
    spawned(|client, id, _| async move { client.revoke(&id).await });
    spawned(|client, _, create| async move { client.send(create).await });
}
