//! Each layer alone over a service that is ready at once.

use std::{
    future::{Ready, poll_fn, ready},
    hint::black_box,
    marker::PhantomData,
    task::{Context, Poll},
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, Body, BoxError, OperationKind,
    Payload, TokenResponse,
    layer::{DecodeErrorLayer, JsonLayer, TypedErrorLayer},
};
use http::{Method, Request, StatusCode, Uri};
use tokio::runtime::Runtime;
use tower_layer::{Identity, Layer};
use tower_service::Service;

use crate::{
    Calls,
    samples::{BASE_URL, MINTED},
    stack::{builder, create, encoded, token_id},
    transport::{BeginAttempts, InMemory, InOnePiece},
};

fn transport() -> InMemory {
    InMemory::responding(StatusCode::OK, MINTED)
}

/// Responds with a token without a ticket.
pub(crate) struct Tokens<E = BoxError> {
    id: ActorTokenId,
    error: PhantomData<fn() -> E>,
}

impl<E> Clone for Tokens<E> {
    fn clone(&self) -> Self {
        let (id, error) = (self.id.clone(), PhantomData);
        Self { id, error }
    }
}

impl<E> Tokens<E> {
    pub(crate) fn new() -> Self {
        let (id, error) = (token_id(), PhantomData);
        Self { id, error }
    }
}

impl<E> Service<ActorTokenRequest> for Tokens<E> {
    type Response = ActorToken;
    type Error = E;
    type Future = Ready<Result<ActorToken, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        drop(black_box(request));
        let token = ActorToken::new(self.id.clone(), ActorTokenStatus::Revoked);
        ready(Ok(token))
    }
}

fn calls<S, R>(service: S, request: impl Fn() -> R + 'static) -> Calls
where
    S: Service<R, Error: Into<BoxError>> + 'static,
{
    reading(service, request, |_| ())
}

/// Makes calls and passes each response to `read`.
pub(crate) fn reading<S, R>(
    mut service: S,
    request: impl Fn() -> R + 'static,
    read: impl Fn(&S::Response) + 'static,
) -> Calls
where
    S: Service<R, Error: Into<BoxError>> + 'static,
{
    Box::new(move |runtime: &Runtime, calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let ready = poll_fn(|cx| service.poll_ready(cx)).await;
                assert!(ready.is_ok());
                let result = service.call(request()).await;
                assert!(result.is_ok());
                if let Ok(response) = &result {
                    read(response);
                }
                drop(black_box(result));
            }
        });
    })
}

fn over_calls<L>(layer: L) -> Calls
where
    L: Layer<Tokens>,
    L::Service: Service<ActorTokenRequest, Error: Into<BoxError>> + 'static,
{
    calls(layer.layer(Tokens::new()), || {
        ActorTokenRequest::create(create())
    })
}

/// Returns a service in place of DecodeError and everything below.
pub(crate) fn attempts() -> BeginAttempts<InOnePiece<TokenResponse>> {
    BeginAttempts(transport().settled())
}

pub(crate) fn payloads<S>(service: S) -> Calls
where
    S: Service<Request<Payload>, Error: Into<BoxError>> + 'static,
{
    let json = encoded();
    calls(service, move || {
        let mut request = Request::new(Payload::new(OperationKind::Create, json.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/actor_tokens");
        request
    })
}

/// Sends requests to a path, as above BaseUri.
fn over_attempts<L>(layer: L) -> Calls
where
    L: Layer<InMemory>,
    L::Service: Service<Request<Body>, Error: Into<BoxError>> + 'static,
{
    over_requests(layer, Uri::from_static("/actor_tokens"))
}

/// Sends requests to a URL, as below BaseUri.
fn over_wire<L>(layer: L) -> Calls
where
    L: Layer<InMemory>,
    L::Service: Service<Request<Body>, Error: Into<BoxError>> + 'static,
{
    let uri = [BASE_URL, "/actor_tokens"].concat();
    over_requests(layer, uri.parse().expect("a URI"))
}

fn over_requests<L>(layer: L, uri: Uri) -> Calls
where
    L: Layer<InMemory>,
    L::Service: Service<Request<Body>, Error: Into<BoxError>> + 'static,
{
    let json = encoded();
    calls(layer.layer(transport()), move || {
        let mut request = Request::new(Body::new(OperationKind::Create, json.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        request
    })
}

/// Creates tokens and reads their tickets, so that nothing is settled.
fn creates<S>(service: S) -> Calls
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>> + 'static,
{
    reading(
        service,
        || ActorTokenRequest::create(create()),
        |token| {
            black_box(token.expose_url());
        },
    )
}

pub(crate) fn no_call_layer() -> Calls {
    over_calls(Identity::new())
}

pub(crate) fn typed_error() -> Calls {
    over_calls(TypedErrorLayer::new())
}

pub(crate) fn call_timeout() -> Calls {
    over_calls(builder(transport()).call_timeout_layer())
}

pub(crate) fn json() -> Calls {
    creates(JsonLayer::new().layer(attempts()))
}

/// Measured together, because Json takes the guard from Settle.
pub(crate) fn json_over_settle() -> Calls {
    let settle = builder(transport()).settle_layer();
    let settled = settle.layer(transport().collected());
    creates(JsonLayer::new().layer(BeginAttempts(settled)))
}

pub(crate) fn no_attempt_layer() -> Calls {
    over_attempts(Identity::new())
}

pub(crate) fn retry() -> Calls {
    payloads(builder(transport()).retry_layer().layer(attempts()))
}

pub(crate) fn decode_error() -> Calls {
    payloads(DecodeErrorLayer::new().layer(transport().settled()))
}

pub(crate) fn attempt_timeout() -> Calls {
    over_attempts(builder(transport()).attempt_timeout_layer())
}

pub(crate) fn collect_body() -> Calls {
    over_attempts(builder(transport()).collect_body_layer())
}

pub(crate) fn base_uri() -> Calls {
    over_attempts(builder(transport()).base_uri_layer())
}

pub(crate) fn no_wire_layer() -> Calls {
    over_wire(Identity::new())
}

pub(crate) fn api_headers() -> Calls {
    over_wire(builder(transport()).api_headers_layer())
}

pub(crate) fn bearer_auth() -> Calls {
    over_wire(builder(transport()).bearer_auth_layer())
}
