//! Each layer alone, over a service that responds at once.

use std::{
    future::{Ready, poll_fn, ready},
    hint::black_box,
    task::{Context, Poll},
};

use clerk_actor_tokens::{
    ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, Body, BoxError, OperationKind,
    Payload, Ticket, TokenResponse,
    layer::{DecodeErrorLayer, JsonLayer, TypedErrorLayer},
};
use http::{Method, Request, StatusCode, Uri};
use tokio::runtime::Runtime;
use tower_layer::{Identity, Layer};
use tower_service::Service;

use crate::{
    Calls,
    answers::{BASE_URL, MINTED},
    stack::{builder, create, encoded, token_id},
    transport::{BeginAttempts, InMemory, InOnePiece},
};

fn transport() -> InMemory {
    InMemory::responding(StatusCode::OK, MINTED)
}

/// Responds to every [`ActorTokenRequest`] with a token that has an id and a status only.
#[derive(Clone)]
struct Tokens(ActorTokenId);

impl Service<ActorTokenRequest> for Tokens {
    type Response = ActorToken;
    type Error = BoxError;
    type Future = Ready<Result<ActorToken, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ActorTokenRequest) -> Self::Future {
        drop(black_box(request));
        let token = ActorToken::new(self.0.clone(), ActorTokenStatus::Revoked);
        ready(Ok(token))
    }
}

/// Calls `service` with the requests that `request` makes.
fn calls<S, R>(mut service: S, request: impl Fn() -> R + 'static) -> Calls
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
                drop(black_box(result));
            }
        });
    })
}

/// A layer over `ActorTokenRequest`s.
fn over_calls<L>(layer: L) -> Calls
where
    L: Layer<Tokens>,
    L::Service: Service<ActorTokenRequest, Error: Into<BoxError>> + 'static,
{
    calls(layer.layer(Tokens(token_id())), || {
        ActorTokenRequest::create(create())
    })
}

/// Returns a service that stands in for DecodeError and all below.
fn attempts() -> BeginAttempts<InOnePiece<TokenResponse>> {
    BeginAttempts(transport().settled())
}

/// Calls a service of `http::Request<Payload>`s.
fn payloads<S>(service: S) -> Calls
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

/// A layer over `http::Request<Body>`s that have no base URL yet.
fn over_attempts<L>(layer: L) -> Calls
where
    L: Layer<InMemory>,
    L::Service: Service<Request<Body>, Error: Into<BoxError>> + 'static,
{
    over_requests(layer, Uri::from_static("/actor_tokens"))
}

/// A layer over `http::Request<Body>`s that have one.
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

/// Reads the ticket, as callers do, so that nothing is left to settle.
fn reading<S>(mut service: S) -> Calls
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>> + 'static,
{
    Box::new(move |runtime: &Runtime, calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let ready = poll_fn(|cx| service.poll_ready(cx)).await;
                assert!(ready.is_ok());
                let result = service.call(ActorTokenRequest::create(create())).await;
                assert!(result.is_ok());
                if let Ok(token) = &result {
                    black_box(token.ticket().and_then(Ticket::expose_url));
                }
                drop(black_box(result));
            }
        });
    })
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
    reading(JsonLayer::new().layer(attempts()))
}

/// `Json` takes over the guard that Settle makes, so both are counted together.
pub(crate) fn json_over_settle() -> Calls {
    let settle = builder(transport()).settle_layer();
    let settled = settle.layer(transport().collected());
    reading(JsonLayer::new().layer(BeginAttempts(settled)))
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
