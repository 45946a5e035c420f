//! Everything can be shared, sent, cloned and shown, and shows no secret.

mod support {
    pub(crate) mod shown;
}

use std::{fmt::Debug, future::Ready, time::Duration};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, BaseUrl, Body, BoxError,
    ClerkError, ClerkErrors, Client, ClientBuilder, ConfigError, CreateActorToken, Error,
    ErrorKind, Intent, InvalidActorToken, InvalidActorTokenId, InvalidBaseUrl, InvalidRequest,
    InvalidSecretKey, KeySource, Operation, Outcome, RetryConfig, RotatingKey, SecretKey, Ticket,
    client, layer,
};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use support::shown::shown;
use tower::{Layer, layer::util::Identity, util::BoxCloneSyncService};

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
    cloned::<Intent>();
    cloned::<KeySource>();
    cloned::<Operation>();
    cloned::<Outcome>();
    cloned::<RetryConfig>();
    cloned::<RotatingKey>();
    cloned::<SecretKey>();
    cloned::<Ticket>();
    cloned::<layer::ApiVersion>();
    cloned::<layer::trace::Facts<'static>>();
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
fn the_default_transport_can_be_shared_cloned_and_shown() {
    use clerk_actor_tokens::transport::{
        HyperTransport, ResponseBody, ResponseFuture, TlsError, TransportConfig,
    };

    cloned::<HyperTransport>();
    cloned::<TransportConfig>();
    cloned::<ClientBuilder<Identity, Identity, TransportConfig>>();
    shared::<TlsError>();
    fn sent<T: Send + Debug + 'static>() {}
    sent::<ResponseFuture>();
    sent::<ResponseBody>();
}

#[cfg(feature = "pool")]
#[test]
fn the_pooled_transport_can_be_shared_cloned_and_shown() {
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
    sent::<client::ResponseFuture>();
}

#[test]
fn calls_of_a_client_can_be_spawned() {
    fn spawned<F: Future + Send>(_: impl FnOnce(Client, ActorTokenId, CreateActorToken) -> F) {}
    spawned(|client, _, create| async move { client.create(create).await });
    spawned(|client, id, _| async move { client.revoke(&id).await });
    spawned(|client, _, create| async move { client.send(create).await });
}

fn assert_hidden(shown: &str) {
    assert!(!shown.contains("marker"), "{shown}");
}

#[test]
fn nothing_that_holds_a_secret_shows_it() {
    fn hidden(value: &impl Debug) {
        assert_hidden(&format!("{value:?} {value:#?}"));
    }
    let transport = || {
        tower::service_fn(|_: Request<Body>| async {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        })
    };
    let key = SecretKey::new("sk_test_marker").unwrap();
    hidden(&key);
    hidden(&KeySource::from(key.clone()));
    hidden(&RotatingKey::new(key.clone()));

    let auth = layer::BearerAuthLayer::new(key.clone(), BaseUrl::default());
    hidden(&auth);
    hidden(&auth.layer(Wire::new(transport())));

    let builder: Builder = ClientBuilder::over(key, Wire::new(transport()));
    hidden(&builder);
    hidden(&builder.clone().service().unwrap());
    hidden(&builder.build().unwrap());

    let actor = Actor::new("marker").claim("reason", "marker");
    let create = CreateActorToken::new("marker", actor).expires_in(Duration::from_secs(60));
    hidden(&create);
    let request = ActorTokenRequest::create(create).header(
        HeaderName::from_static("x-signature"),
        HeaderValue::from_static("marker"),
    );
    hidden(&request);
    hidden(&Body::new(Intent::Create, r#"{"user_id":"marker"}"#));

    let json = r#"{"id":"act_1","user_id":"marker","actor":{"sub":"marker"},"token":"marker","url":"https://x/?ticket=marker"}"#;
    let token = ActorToken::from_json(json.as_bytes()).unwrap();
    hidden(&token);
    hidden(token.ticket().unwrap());
}

#[tokio::test]
async fn no_error_shows_a_key_that_the_api_echoes() {
    let echo = tower::service_fn(|request: Request<Body>| async move {
        let key = request.headers()["authorization"].to_str()?;
        let body = format!(
            r#"{{"errors":[{{"code":"{key}","message":"{key}","long_message":"{key}","meta":{{"{key}":["{key}"]}}}}],"clerk_trace_id":"{key}"}}"#
        );
        let response = Response::builder().status(401).header("cf-ray", key);
        Ok::<_, BoxError>(response.body(Full::<Bytes>::from(body))?)
    });
    let key = SecretKey::new("sk_test_marker").unwrap();
    let client = ClientBuilder::over(key, echo).build().unwrap();
    let error = client.revoke(&"act_1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(401));
    assert_hidden(&shown(&error));
    assert_hidden(&format!(
        "{:?} {:?}",
        error.clerk_errors(),
        error.trace_id()
    ));
}
